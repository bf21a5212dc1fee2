//! Where messages go that are for nobody with a URL: the operator says so for each kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossdock_aws::outward::{Post, Protocol, Record};
use crossdock_common::definition::{Definition, Overflow, QueueSettings, QueueSpec};
use crossdock_common::{Name, UnixMillis};
use crossdock_store::{RealDisk, put_file};

use sha2::{Digest as _, Sha256};

use super::link::{Actor, Link, Published};
use super::mail::Mail;
use super::web::{Outcome, Web};
use crate::broker::Engine;
use crate::config::{AwsDeliveriesSettings, AwsSettings, AwsSink, AwsSinkSettings};

/// What nobody is configured for is kept here, so that it can be looked at.
const OUTBOX: &str = "aws.sns.outbox";
/// Messages that it keeps.
const OUTBOX_LENGTH_MAX: u64 = 10_000;
/// Bytes that it keeps.
const OUTBOX_BYTES_MAX: u64 = 64 << 20;

enum Sink {
    Outbox,
    Webhook(String),
    Directory(PathBuf),
    Mail(Box<Mail>),
}

impl Sink {
    fn of(settings: &AwsSinkSettings, authorities: Option<PathBuf>, timeout: Duration) -> Self {
        // That all is there is one of the configuration's rules.
        match settings.to {
            AwsSink::Outbox => Self::Outbox,
            AwsSink::Webhook => Self::Webhook(settings.url.clone().unwrap_or_default()),
            AwsSink::Directory => Self::Directory(settings.path.clone().unwrap_or_default()),
            AwsSink::Smtp => {
                Mail::new(settings, authorities, timeout).map_or(Self::Outbox, |mail| Self::Mail(Box::new(mail)))
            }
        }
    }
}

/// The sinks of all kinds.
pub(super) struct Sinks {
    engine: Arc<Engine>,
    /// May send anywhere: its URLs are the operator's.
    web: Web,
    application: Sink,
    email: Sink,
    sms: Sink,
    lambda: Sink,
    firehose: Sink,
}

impl Sinks {
    pub(super) fn new(engine: Arc<Engine>, settings: &AwsSettings, web: Web) -> Self {
        let AwsDeliveriesSettings { timeout_ms, authorities, .. } = &settings.deliveries;
        let sink = |settings: &AwsSinkSettings| Sink::of(settings, authorities.clone(), timeout_ms.duration());
        let settings = &settings.sinks;
        Self {
            engine,
            web,
            application: sink(&settings.application),
            email: sink(&settings.email),
            sms: sink(&settings.sms),
            lambda: sink(&settings.lambda),
            firehose: sink(&settings.firehose),
        }
    }

    fn of(&self, protocol: Protocol) -> &Sink {
        match protocol {
            Protocol::Application => &self.application,
            Protocol::Email | Protocol::EmailJson => &self.email,
            Protocol::Sms => &self.sms,
            Protocol::Lambda => &self.lambda,
            Protocol::Firehose => &self.firehose,
            Protocol::Http | Protocol::Https | Protocol::Sqs => &Sink::Outbox,
        }
    }

    pub(super) async fn put(&self, vhost: &Name, record: Record, now: UnixMillis) -> Outcome {
        match self.of(record.protocol) {
            Sink::Outbox => self.keep(vhost, &record, now).await,
            Sink::Webhook(url) => self.web.post(webhook(url, &record)).await,
            Sink::Directory(path) => write(path.clone(), record).await,
            Sink::Mail(mail) => mail.send(&record).await,
        }
    }

    async fn keep(&self, vhost: &Name, record: &Record, now: UnixMillis) -> Outcome {
        let mut link = Link::open(&self.engine, vhost.clone(), Actor::Broker);
        let name = Name::from(OUTBOX);
        if let Err(refusal) = link.define(Definition::DeclareQueue { spec: outbox(&name), passive: false }).await {
            return Outcome::Failed(refusal.to_string());
        }
        match link.publish(record.to_message(&name, Name::from("crossdock"), now)).await {
            Published::Confirmed => Outcome::Accepted,
            Published::Unroutable => Outcome::Failed("the outbox is gone".to_owned()),
            Published::Rejected(reason) => Outcome::Failed(reason),
        }
    }
}

fn outbox(name: &Name) -> QueueSpec {
    let settings = QueueSettings {
        length_max: Some(OUTBOX_LENGTH_MAX),
        bytes_max: Some(OUTBOX_BYTES_MAX),
        overflow: Some(Overflow::DropHead),
        ..QueueSettings::default()
    };
    QueueSpec { name: name.clone(), durable: true, settings: settings.into(), ..QueueSpec::default() }
}

/// A function is called with what it expects, others get all that there is to know.
fn webhook(url: &str, record: &Record) -> Post {
    let body = record.event.as_ref().unwrap_or(&record.json).to_string();
    let headers = vec![("content-type", "application/json".to_owned())];
    Post { url: url.to_owned(), headers, body: Bytes::from(body) }
}

/// A file is written under another name and then given its own, so that nobody reads half of it; the same message makes the same
/// file again.
async fn write(directory: PathBuf, record: Record) -> Outcome {
    let written = tokio::task::spawn_blocking(move || store(&directory, &record)).await;
    match written {
        Ok(Ok(())) => Outcome::Accepted,
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn store(directory: &Path, record: &Record) -> std::io::Result<()> {
    // Its name is made of hexadecimal digits only: nothing of it comes from a peer.
    let name = format!("{}-{:032x}-{:08x}.json", record.protocol.word(), record.id, fingerprint(&record.endpoint));
    put_file(&RealDisk, directory, &name, record.json.to_string().as_bytes())
}

/// One message may go to several endpoints.
fn fingerprint(endpoint: &str) -> u32 {
    let sum = Sha256::digest(endpoint);
    u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]])
}
