//! SQS over HTTP: what a send, a receive and a deletion cost, one by one and in batches of ten, and what long queues cost a receive.

mod client;
pub mod signature;
mod work;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::findings::Findings;
use crate::latency::Histogram;
use crate::server::Server;
use crate::usage::Usage;
use client::{Fleet, Work};
use signature::Signer;
use work::{Cycle, Limit, Receives, Sends};

/// Messages of a batch: the most that SQS allows.
const BATCH: usize = 10;
/// Receives that are measured on a long queue, of ten messages each.
const RECEIVES: usize = 400;
/// A visibility timeout that does not end while something is measured.
const VISIBILITY_S: u32 = 43_200;

/// How much of it.
#[derive(Args)]
pub struct Arguments {
    /// Brokers, separated by commas: crossdock-sqs and -sqs-os with signatures checked, -sqs-unsigned without.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "crossdock-sqs,crossdock-sqs-unsigned,crossdock-sqs-os,elasticmq,elasticmq-files,moto"
    )]
    brokers: Vec<String>,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Seconds of each workload.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of each workload before it is measured: Java compiles meanwhile.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Bytes of a body.
    #[arg(long, default_value_t = 100)]
    body_bytes: usize,
    /// Messages of the long queue; 0 leaves long queues out.
    #[arg(long, default_value_t = 100_000)]
    backlog: usize,
}

/// Measures, and prints a table at the end.
///
/// # Errors
/// A broker refuses something.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut findings = Findings::default();
    for name in &arguments.brokers {
        match Server::start(name) {
            Ok(server) => Bench::new(&server, arguments)?.run(&mut findings)?,
            Err(error) => findings.note(format!("{name} left out: {error:#}")),
        }
    }
    findings.print();
    Ok(())
}

struct Bench<'a> {
    server: &'a Server,
    arguments: &'a Arguments,
    signer: Signer,
    fleet: Fleet,
}

/// What a run of requests took.
struct Taken {
    requests: usize,
    seconds: f64,
    cpu_us: f64,
    client_us: f64,
    latencies: Histogram,
}

impl<'a> Bench<'a> {
    fn new(server: &'a Server, arguments: &'a Arguments) -> Result<Self> {
        let port = server.ports.sqs.context("no SQS")?;
        Ok(Self { server, arguments, signer: Signer::new(port)?, fleet: Fleet::open(port, arguments.connections)? })
    }

    fn run(&mut self, findings: &mut Findings) -> Result<()> {
        self.sends(findings, 1)?;
        self.sends(findings, BATCH)?;
        self.cycles(findings, 1)?;
        self.cycles(findings, BATCH)?;
        match self.arguments.backlog {
            0 => Ok(()),
            _ if self.server.name == "moto" => {
                findings.note("moto's long queue left out: filling it takes half an hour".to_owned());
                Ok(())
            }
            _ => self.long_queue(findings),
        }
    }

    /// Makes a queue and gives its URL.
    fn queue(&mut self, name: &str) -> Result<String> {
        let request = self.signer.request("CreateQueue", &json!({ "QueueName": name }).to_string());
        let answer: Value = serde_json::from_slice(&self.fleet.ask(&request)?)?;
        Ok(answer["QueueUrl"].as_str().context("no URL")?.to_owned())
    }

    /// A request that sends so many messages.
    fn send(&self, url: &str, count: usize) -> Vec<u8> {
        let body = "x".repeat(self.arguments.body_bytes);
        if count == 1 {
            return self.signer.request("SendMessage", &json!({ "QueueUrl": url, "MessageBody": body }).to_string());
        }
        let entry = |number: usize| json!({ "Id": number.to_string(), "MessageBody": body });
        let entries: Vec<Value> = (0..count).map(entry).collect();
        self.signer.request("SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }).to_string())
    }

    fn receive(&self, url: &str, count: usize) -> Vec<u8> {
        let body = json!({ "QueueUrl": url, "MaxNumberOfMessages": count, "VisibilityTimeout": VISIBILITY_S });
        self.signer.request("ReceiveMessage", &body.to_string())
    }

    fn sends(&mut self, findings: &mut Findings, count: usize) -> Result<()> {
        let url = self.queue(&format!("sends-{count}"))?;
        let request = self.send(&url, count);
        let limit = until(self.arguments.warm_up);
        self.fleet.drive(&mut Sends { request: &request, limit: &limit }, &mut Histogram::default())?;
        let limit = until(self.arguments.seconds);
        let mut sends = Sends { request: &request, limit: &limit };
        let taken = Taken::by(self.server, &mut self.fleet, &mut sends, &limit)?;
        let (what, target) = match count {
            1 => ("SendMessage", "≥ 20,000 messages/s, ≤ 30 µs"),
            _ => ("SendMessageBatch of 10", "≥ 100,000 messages/s"),
        };
        findings.judge(what, &self.server.name, &taken.what(), taken.figure(count), target);
        self.delete(&url)
    }

    fn cycles(&mut self, findings: &mut Findings, count: usize) -> Result<()> {
        let url = self.queue(&format!("cycles-{count}"))?;
        let requests = (self.send(&url, count), self.receive(&url, count));
        let (connections, warm_up) = (self.arguments.connections, until(self.arguments.warm_up));
        let mut cycle = Cycle::new(&self.signer, &url, requests.clone(), connections, &warm_up);
        self.fleet.drive(&mut cycle, &mut Histogram::default())?;
        let limit = until(self.arguments.seconds);
        let mut cycle = Cycle::new(&self.signer, &url, requests, connections, &limit);
        let taken = Taken::by(self.server, &mut self.fleet, &mut cycle, &limit)?;
        let what = if count == 1 { "send, receive, delete" } else { "send, receive, delete ten at once" };
        // A message takes three requests.
        findings.judge(what, &self.server.name, &taken.what(), taken.figure_of(count as f64 / 3.0), "≤ 30 µs");
        self.delete(&url)
    }

    fn long_queue(&mut self, findings: &mut Findings) -> Result<()> {
        let (short, long) = (RECEIVES * BATCH, self.arguments.backlog);
        let url = self.filled("short", short)?;
        let reference = self.receives(&url, RECEIVES)?;
        self.judge(findings, &format!("a queue of {short}"), &reference, None);
        self.delete(&url)?;
        let url = self.filled("long", long)?;
        let first = self.receives(&url, RECEIVES)?;
        self.judge(findings, &format!("a queue of {long}"), &first, Some(&reference));
        self.receives(&url, (long / BATCH).saturating_sub(2 * RECEIVES))?;
        let last = self.receives(&url, RECEIVES)?;
        self.judge(findings, &format!("{} in flight", long - short), &last, Some(&reference));
        self.delete(&url)
    }

    fn filled(&mut self, name: &str, count: usize) -> Result<String> {
        let url = self.queue(name)?;
        let (request, limit) = (self.send(&url, BATCH), Limit::of(count / BATCH));
        self.fleet.drive(&mut Sends { request: &request, limit: &limit }, &mut Histogram::default())?;
        Ok(url)
    }

    fn receives(&mut self, url: &str, count: usize) -> Result<Taken> {
        let (request, limit) = (self.receive(url, BATCH), Limit::of(count));
        let mut receives = Receives { request: &request, limit: &limit };
        Taken::by(self.server, &mut self.fleet, &mut receives, &limit)
    }

    fn judge(&self, findings: &mut Findings, what: &str, taken: &Taken, reference: Option<&Taken>) {
        let (workload, cost) = (format!("ReceiveMessage of 10, {what}"), taken.cpu_us / taken.requests as f64);
        let figure = taken.figure(BATCH);
        let Some(reference) = reference else {
            return findings.add(&workload, &self.server.name, &taken.what(), figure);
        };
        let ratio = cost / (reference.cpu_us / reference.requests as f64);
        let who = &self.server.name;
        findings.compare(
            &workload,
            who,
            &taken.what(),
            figure,
            (ratio, "CPU of the short queue"),
            "as the short queue",
        );
    }

    fn delete(&mut self, url: &str) -> Result<()> {
        let request = self.signer.request("DeleteQueue", &json!({ "QueueUrl": url }).to_string());
        self.fleet.ask(&request).map(drop)
    }
}

/// From now on for so many seconds.
fn until(seconds: f64) -> Limit {
    Limit::until(Instant::now() + Duration::from_secs_f64(seconds))
}

impl Taken {
    /// Works to the limit.
    fn by(server: &Server, fleet: &mut Fleet, work: &mut impl Work, limit: &Limit) -> Result<Self> {
        let (process, mut latencies) = (server.process(), Histogram::default());
        let (before, client, start) = (Usage::of(process), Usage::of_client(), Instant::now());
        fleet.drive(work, &mut latencies)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_us = Usage::of(process).cpu_us_since(&before);
        let client_us = Usage::of_client().cpu_us_since(&client);
        Ok(Self { requests: limit.count(), seconds, cpu_us, client_us, latencies })
    }

    fn what(&self) -> String {
        format!("client CPU {:.1} µs per request", self.client_us / self.requests as f64)
    }

    /// Of requests that each carry so many messages.
    fn figure(&self, messages: usize) -> String {
        self.figure_of(messages as f64)
    }

    fn figure_of(&self, messages: f64) -> String {
        let (requests, ms) = (self.requests as f64, |share| self.latencies.percentile_ms(share).unwrap_or(f64::NAN));
        format!(
            "{:.0} requests/s, {:.0} messages/s, broker CPU {:.1} µs per request, p50 / p99 {:.2} / {:.2} ms",
            requests / self.seconds,
            requests * messages / self.seconds,
            self.cpu_us / requests,
            ms(0.5),
            ms(0.99)
        )
    }
}
