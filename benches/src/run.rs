//! Runs workloads: one thread publishes, one consumes, this one measures.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::calls::Calls;
use crate::cpu;
use crate::latency::Histogram;
use crate::plan::Plan;
use crate::report::{Report, Row};
use crate::server::{Server, pause};
use crate::shared::Shared;
use crate::usage::Usage;
use crate::workload::{Pace, WORKLOADS, Workload};
use crate::{receive, send};

/// Until everybody is busy.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long, how often, and which.
pub struct Extent<'a> {
    /// Only workloads whose name contains one of these.
    pub only: &'a [String],
    pub time: Duration,
    /// The median of so many is shown.
    pub runs: usize,
}

impl Extent<'_> {
    fn workloads(&self) -> impl Iterator<Item = Workload> {
        let is_wanted = |workload: &Workload| self.only.iter().any(|part| workload.name.contains(part.as_str()));
        WORKLOADS.into_iter().filter(move |workload| self.only.is_empty() || is_wanted(workload))
    }
}

/// Runs every workload that the broker can do. One that fails is left out with a note.
pub fn all(server: &Server, extent: &Extent<'_>, report: &mut Report) {
    for workload in extent.workloads() {
        for plan in Plan::all(server, workload) {
            if let Err(error) = both_paces(&plan, extent, report) {
                report.note(format!("{}: \"{}\" left out: {error:#}", plan.label, workload.name));
            }
        }
    }
}

fn both_paces(plan: &Plan<'_>, extent: &Extent<'_>, report: &mut Report) -> Result<()> {
    let (name, rate) = match plan.workload.pace {
        Pace::Rate(rate) => (plan.workload.name.to_owned(), Some(rate)),
        _ => (plan.workload.name.to_owned(), None),
    };
    let row = median(plan, &name, rate, extent)?;
    let half = row.per_second / plan.workload.copies() as f64 / 2.0;
    report.add(row);
    if plan.workload.pace == Pace::ClosedThenHalf {
        report.add(median(plan, &format!("{name}, at 50 %"), Some(half), extent)?);
    }
    Ok(())
}

/// The median run by CPU.
fn median(plan: &Plan<'_>, name: &str, rate: Option<f64>, extent: &Extent<'_>) -> Result<Row> {
    let runs = (0..extent.runs.max(1)).map(|_| one(plan, name, rate, extent.time));
    let mut rows = runs.collect::<Result<Vec<Row>>>()?;
    rows.sort_by(|a, b| a.broker_us.total_cmp(&b.broker_us));
    Ok(rows.swap_remove(rows.len() / 2))
}

fn one(plan: &Plan<'_>, name: &str, rate: Option<f64>, time: Duration) -> Result<Row> {
    let (receivers, senders) = plan.connect(rate)?;
    let shared = Arc::new(Shared::new(plan.workload.copies(), plan.workload.body_bytes));
    let (of_consumer, of_publisher) = (shared.clone(), shared.clone());
    let consumer = std::thread::spawn(move || receive::run(&of_consumer, receivers, rate.is_some()));
    let publisher = std::thread::spawn(move || send::run(&of_publisher, senders));
    let row = measure(plan, &shared, time);
    shared.stop.store(true, Ordering::SeqCst);
    publisher.join().map_err(|_| anyhow!("the publisher panicked"))??;
    let latencies = consumer.join().map_err(|_| anyhow!("the consumer panicked"))??;
    plan.clean_up()?;
    let latency_ms = rate.and_then(|_| percentiles(&latencies));
    Ok(Row { workload: name.to_owned(), latency_ms, ..row? })
}

fn percentiles(latencies: &Histogram) -> Option<[f64; 3]> {
    Some([latencies.percentile_ms(0.5)?, latencies.percentile_ms(0.99)?, latencies.percentile_ms(0.999)?])
}

/// A moment's counts.
struct Moment {
    at: Instant,
    consumed: u64,
    broker: Usage,
    client: Usage,
}

impl Moment {
    fn now(process: u32, shared: &Shared) -> Self {
        let (broker, client) = (Usage::of(process), Usage::of_client());
        Self { at: Instant::now(), consumed: shared.consumed.load(Ordering::SeqCst), broker, client }
    }

    /// Deliveries a second since then, and how many.
    fn rate_since(&self, before: &Self) -> (f64, f64) {
        let messages = (self.consumed - before.consumed) as f64;
        (messages / (self.at - before.at).as_secs_f64(), messages)
    }
}

fn measure(plan: &Plan<'_>, shared: &Shared, time: Duration) -> Result<Row> {
    let process = plan.server.process();
    pause(WARM_UP);
    shared.measuring.store(true, Ordering::SeqCst);
    let before = Moment::now(process, shared);
    pause(time);
    let after = Moment::now(process, shared);
    shared.measuring.store(false, Ordering::SeqCst);
    let (per_second, messages) = after.rate_since(&before);
    ensure!(messages > 0.0, "no message arrived");
    // A time of its own: counting calls makes them slower.
    let calls = Calls::count(process, time.min(Duration::from_secs(1)) / 2);
    let counted =
        Moment::now(process, shared).rate_since(&after).0 * time.min(Duration::from_secs(1)).as_secs_f64() / 2.0;
    Ok(Row {
        workload: String::new(),
        broker: plan.label.clone(),
        per_second,
        broker_us: after.broker.cpu_us_since(&before.broker) / messages,
        client_us: after.client.cpu_us_since(&before.client) / messages,
        context_switches: after.broker.context_switches_since(&before.broker) as f64 / messages,
        calls: calls.ok().map(|calls| calls.per(counted)),
        latency_ms: None,
        resident_mib: cpu::resident_kib(process) as f64 / 1024.0,
    })
}
