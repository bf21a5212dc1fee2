//! What goes through an exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one exchange since the start, or since it was made.
#[derive(Debug, Default)]
pub(crate) struct ExchangeTraffic {
    published: AtomicU64,
    routed: AtomicU64,
}

/// How many messages clients have published to an exchange, and how many queues these went to, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeSample {
    pub published: u64,
    pub routed: u64,
}

impl ExchangeTraffic {
    pub(crate) fn sample(&self) -> ExchangeSample {
        let [published, routed] = [&self.published, &self.routed].map(|counter| counter.load(Ordering::Relaxed));
        ExchangeSample { published, routed }
    }

    fn add(&self, sample: ExchangeSample) {
        self.published.fetch_add(sample.published, Ordering::Relaxed);
        self.routed.fetch_add(sample.routed, Ordering::Relaxed);
    }
}

/// What one connection has published to the exchange that it published to last: the exchange is told once for each batch.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    traffic: Option<Arc<ExchangeTraffic>>,
    sample: ExchangeSample,
}

impl Counting {
    /// So many messages go to so many queues each.
    #[inline]
    pub(crate) fn count(&mut self, traffic: Option<&Arc<ExchangeTraffic>>, messages: usize, queues: usize) {
        let is_same = match (&self.traffic, traffic) {
            (Some(known), Some(traffic)) => Arc::ptr_eq(known, traffic),
            _ => false,
        };
        if !is_same {
            self.flush();
            self.traffic = traffic.cloned();
        }
        self.sample.published += messages as u64;
        self.sample.routed += (messages * queues) as u64;
    }

    /// Tells the exchange.
    pub(crate) fn flush(&mut self) {
        let sample = std::mem::take(&mut self.sample);
        if let Some(traffic) = &self.traffic
            && sample.published > 0
        {
            traffic.add(sample);
        }
    }
}
