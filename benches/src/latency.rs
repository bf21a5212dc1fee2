//! Latencies in buckets of about 1 %.

use std::time::Duration;

/// Counts of latencies, in microseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * 64], count: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)] += 1;
        self.count += 1;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(count, more)| *count += more);
        self.count += other.count;
    }

    /// The latency that this share (0 to 1) of all stay below, in milliseconds; `None` without any.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        let index = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted.max(1)
        })?;
        Some(lower_bound(index) as f64 / 1000.0)
    }
}

/// 64 linear steps in each power of two.
fn bucket(us: u64) -> usize {
    if us < 64 {
        return us as usize;
    }
    let power = us.ilog2() as usize - 5;
    power * 64 + ((us >> (power - 1)) & 63) as usize
}

fn lower_bound(index: usize) -> u64 {
    match index / 64 {
        0 => index as u64,
        power => (64 + (index % 64) as u64) << (power - 1),
    }
}
