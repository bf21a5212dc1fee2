//! How much happens each second. Counters are looked at every five seconds, and only while somebody uses the API: a broker that nobody
//! looks at samples nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::{Instant, Name};
use crossdock_core::{ExchangeSample, QueueSample};
use serde_json::{Value, json};

use crate::broker::Engine;
use crate::telemetry::Protocol;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(5);
/// Sampling ends when nobody has asked for so long.
const UNWANTED_MS: u64 = 5 * 60 * 1000;

/// The last two samples.
#[derive(Default)]
pub(super) struct Rates {
    samples: Mutex<(Sample, Sample)>,
    /// When somebody asked last, in microseconds of the broker's clock.
    wanted_at: AtomicU64,
    running: AtomicBool,
}

/// All counters at one moment.
#[derive(Default)]
struct Sample {
    at: Instant,
    total: Totals,
    queues: HashMap<QueueId, QueueSample>,
    exchanges: HashMap<(Name, Name), ExchangeSample>,
    octets: HashMap<ConnectionId, (u64, u64)>,
}

/// What happened in the whole broker since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub queues: QueueSample,
    pub published: u64,
    pub confirmed: u64,
    pub returned: u64,
    pub unroutable: u64,
    pub connections_opened: u64,
    pub connections_closed: u64,
}

impl Totals {
    pub(super) fn now(engine: &Engine) -> Self {
        let (connections_opened, connections_closed) = engine.connections.churn();
        let mut totals =
            Self { queues: engine.broker.total_sample(), connections_opened, connections_closed, ..Self::default() };
        for protocol in Protocol::ALL {
            let metrics = engine.metrics.protocol(protocol);
            totals.published += metrics.messages_published.get();
            totals.confirmed += metrics.messages_confirmed.get();
            totals.returned += metrics.messages_returned.get();
            totals.unroutable += metrics.messages_unroutable.get();
        }
        totals
    }
}

/// Two samples of the same counters, and the time between them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Between<T> {
    before: T,
    after: T,
    seconds: f64,
}

impl<T> Between<T> {
    /// Of a part of what was sampled.
    pub(super) fn map<U>(&self, part: impl Fn(&T) -> U) -> Between<U> {
        Between { before: part(&self.before), after: part(&self.after), seconds: self.seconds }
    }

    /// How much a counter grows each second.
    pub(super) fn rate(&self, counter: impl Fn(&T) -> u64) -> f64 {
        if self.seconds <= 0.0 {
            return 0.0;
        }
        // Counters of one interval are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let difference = counter(&self.after) as f64 - counter(&self.before) as f64;
        difference / self.seconds
    }

    /// `{"rate": …}`
    pub(super) fn details(&self, counter: impl Fn(&T) -> u64) -> Value {
        json!({ "rate": self.rate(counter) })
    }
}

impl Rates {
    /// Somebody asks: samples are taken from now on.
    pub(super) fn wanted(self: &Arc<Self>, engine: &Arc<Engine>) {
        self.wanted_at.store(engine.clock.now().instant.0, Ordering::Relaxed);
        if !self.running.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().sample(engine.clone()));
        }
    }

    async fn sample(self: Arc<Self>, engine: Arc<Engine>) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let wanted_at = Instant(self.wanted_at.load(Ordering::Relaxed));
            if engine.clock.now().instant.ms_since(wanted_at) > UNWANTED_MS {
                break;
            }
            let (rates, sampled) = (self.clone(), engine.clone());
            // Walking over 100,000 queues would keep this thread's connections waiting.
            if tokio::task::spawn_blocking(move || rates.take(&sampled)).await.is_err() {
                break;
            }
        }
        *self.lock() = <(Sample, Sample)>::default();
        self.running.store(false, Ordering::Release);
    }

    fn take(&self, engine: &Engine) {
        let octets = |connection: &Arc<crate::broker::Connection>| {
            let octets = &connection.octets;
            let counts = (octets.received.load(Ordering::Relaxed), octets.sent.load(Ordering::Relaxed));
            (connection.id, counts)
        };
        let sample = Sample {
            at: engine.clock.now().instant,
            total: Totals::now(engine),
            queues: engine.broker.queue_samples().into_iter().collect(),
            exchanges: engine.broker.exchange_samples().into_iter().collect(),
            octets: engine.connections.all().iter().map(octets).collect(),
        };
        let mut samples = self.lock();
        samples.0 = std::mem::replace(&mut samples.1, sample);
    }

    /// Of one queue.
    pub(super) fn queue(&self, id: QueueId) -> Between<QueueSample> {
        self.queues(&[id])
    }

    /// Of several queues together.
    pub(super) fn queues(&self, ids: &[QueueId]) -> Between<QueueSample> {
        self.between(|sample| {
            let mut sum = QueueSample::default();
            ids.iter().filter_map(|id| sample.queues.get(id)).for_each(|queue| sum.add(queue));
            sum
        })
    }

    /// Of one exchange.
    pub(super) fn exchange(&self, vhost: &Name, name: &Name) -> Between<ExchangeSample> {
        let key = (vhost.clone(), name.clone());
        self.between(|sample| sample.exchanges.get(&key).copied().unwrap_or_default())
    }

    /// Of the whole broker.
    pub(super) fn total(&self) -> Between<Totals> {
        self.between(|sample| sample.total)
    }

    /// Bytes received and sent of some connections together.
    pub(super) fn octets(&self, ids: &[ConnectionId]) -> Between<(u64, u64)> {
        self.between(|sample| {
            let each = ids.iter().filter_map(|id| sample.octets.get(id));
            each.fold((0, 0), |sum, octets| (sum.0 + octets.0, sum.1 + octets.1))
        })
    }

    fn between<T>(&self, look: impl Fn(&Sample) -> T) -> Between<T> {
        let samples = self.lock();
        let (before, after) = (&samples.0, &samples.1);
        // There is no rate before the second sample.
        #[allow(clippy::cast_precision_loss)]
        let seconds = if before.at == Instant::default() { 0.0 } else { after.at.ms_since(before.at) as f64 / 1000.0 };
        Between { before: look(before), after: look(after), seconds }
    }

    fn lock(&self) -> MutexGuard<'_, (Sample, Sample)> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter's name in RabbitMQ's objects, and where it is.
pub(super) type Counter<T> = (&'static str, fn(&T) -> u64);

/// What RabbitMQ counts for queues.
const QUEUE_COUNTERS: [Counter<QueueSample>; 9] = [
    ("publish", |sample| sample.ledger.accepted),
    ("deliver", |sample| sample.traffic.delivered),
    ("deliver_no_ack", |sample| sample.traffic.delivered_settled),
    ("deliver_get", |sample| sample.traffic.handed_out()),
    ("get", |sample| sample.traffic.fetched),
    ("get_no_ack", |sample| sample.traffic.fetched_settled),
    ("get_empty", |sample| sample.traffic.fetched_nothing),
    ("ack", |sample| sample.traffic.acknowledged(sample.ledger.settled)),
    ("redeliver", |sample| sample.traffic.returned),
];

/// `message_stats` of one or several queues.
pub(super) fn queue_stats(now: &QueueSample, between: &Between<QueueSample>) -> serde_json::Map<String, Value> {
    let mut stats = serde_json::Map::new();
    for (name, counter) in QUEUE_COUNTERS {
        stats.insert(name.to_owned(), counter(now).into());
        stats.insert(format!("{name}_details"), between.details(counter));
    }
    stats
}

/// `message_stats` of an exchange.
pub(super) fn exchange_stats(
    now: &ExchangeSample,
    between: &Between<ExchangeSample>,
) -> serde_json::Map<String, Value> {
    let counters: [Counter<ExchangeSample>; 2] =
        [("publish_in", |sample| sample.published), ("publish_out", |sample| sample.routed)];
    let mut stats = serde_json::Map::new();
    for (name, counter) in counters {
        stats.insert(name.to_owned(), counter(now).into());
        stats.insert(format!("{name}_details"), between.details(counter));
    }
    stats
}

/// `messages`, `messages_ready`, `messages_unacknowledged`, with rates.
pub(super) fn lengths(now: &QueueSample, between: &Between<QueueSample>) -> serde_json::Map<String, Value> {
    let counters: [Counter<QueueSample>; 3] = [
        ("messages", |sample| sample.ready + sample.unsettled),
        ("messages_ready", |sample| sample.ready),
        ("messages_unacknowledged", |sample| sample.unsettled),
    ];
    let mut lengths = serde_json::Map::new();
    for (name, counter) in counters {
        lengths.insert(name.to_owned(), counter(now).into());
        lengths.insert(format!("{name}_details"), between.details(counter));
    }
    lengths
}

/// `message_stats` of the whole broker.
pub(super) fn total_stats(now: &Totals, between: &Between<Totals>) -> serde_json::Map<String, Value> {
    let mut stats = serde_json::Map::new();
    for (name, counter) in QUEUE_COUNTERS {
        stats.insert(name.to_owned(), counter(&now.queues).into());
        stats.insert(format!("{name}_details"), between.details(|totals| counter(&totals.queues)));
    }
    let counters: [Counter<Totals>; 4] = [
        ("publish", |totals| totals.published),
        ("confirm", |totals| totals.confirmed),
        ("return_unroutable", |totals| totals.returned),
        ("drop_unroutable", |totals| totals.unroutable),
    ];
    for (name, counter) in counters {
        stats.insert(name.to_owned(), counter(now).into());
        stats.insert(format!("{name}_details"), between.details(counter));
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_samples() {
        let rates = Rates::default();
        let sample = |at, ready| {
            let queue = QueueSample { ready, ..QueueSample::default() };
            Sample { at: Instant(at), queues: [(QueueId(1), queue)].into(), ..Sample::default() }
        };
        assert!(rates.queue(QueueId(1)).rate(|sample| sample.ready).abs() < f64::EPSILON);
        *rates.lock() = (Sample::default(), sample(1_000_000, 7));
        assert!(rates.queue(QueueId(1)).rate(|sample| sample.ready).abs() < f64::EPSILON);
        *rates.lock() = (sample(1_000_000, 7), sample(6_000_000, 17));
        assert!((rates.queue(QueueId(1)).rate(|sample| sample.ready) - 2.0).abs() < f64::EPSILON);
        assert!(rates.queue(QueueId(2)).rate(|sample| sample.ready).abs() < f64::EPSILON);
    }
}
