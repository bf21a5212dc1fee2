//! Things that happen, each with its log line and its metric.
//!
//! What a peer sent (names, reasons) is logged with `?`, so that line breaks and escape sequences in it do no harm.

use std::net::SocketAddr;

use super::metrics::{Metrics, NoEntryLabel, Protocol, RuleLabel, set};
use crate::net::NoEntry;

/// A listener accepts connections.
#[derive(Clone, Copy, Debug)]
pub struct ListenerStarted {
    /// Key under `listeners`, such as `mqtts`.
    pub listener: &'static str,
    /// The address with the port that was really taken.
    pub address: SocketAddr,
}

impl ListenerStarted {
    pub fn emit(&self, metrics: &Metrics) {
        tracing::info!(listener = self.listener, address = %self.address, "listening");
        metrics.listeners.inc();
    }
}

/// Somebody is hung up on before anything is read.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionRefused {
    pub protocol: Protocol,
    pub peer: SocketAddr,
    pub reason: NoEntry,
}

impl ConnectionRefused {
    pub fn emit(&self, metrics: &Metrics) {
        let reason = self.reason.word();
        let label = NoEntryLabel { protocol: self.protocol, reason };
        // There may be thousands of these in a second: the log has one line for each number that is round.
        let before = metrics.connections_refused.get_or_create(&label).inc();
        if (before + 1).is_power_of_two() {
            let limit = format!("limits.{reason}");
            tracing::warn!(protocol = %self.protocol, peer = %self.peer, limit, count = before + 1, "connection refused");
        }
    }
}

/// The core refused what a peer asked for, since there is so much of it already.
#[derive(Clone, Copy, Debug)]
pub struct LimitReached<'a> {
    pub protocol: Protocol,
    pub peer: SocketAddr,
    /// What there is too much of.
    pub limit: &'a str,
}

impl LimitReached<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        // As with refused connections: there may be thousands.
        let count = metrics.protocol(self.protocol).limit_refusals.inc() + 1;
        if count.is_power_of_two() {
            tracing::warn!(protocol = %self.protocol, peer = %self.peer, limit = ?self.limit, count, "a limit is reached");
        }
    }
}

/// A peer connected; nothing is known of it yet.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOpened {
    pub protocol: Protocol,
    pub peer: SocketAddr,
}

impl ConnectionOpened {
    pub fn emit(&self, metrics: &Metrics) {
        tracing::debug!(protocol = %self.protocol, peer = %self.peer, "connection opened");
        let metrics = metrics.protocol(self.protocol);
        metrics.connections_opened.inc();
        metrics.connections.inc();
    }
}

/// A connection is gone. Goes with exactly one [`ConnectionOpened`].
#[derive(Clone, Copy, Debug)]
pub struct ConnectionClosed<'a> {
    pub protocol: Protocol,
    pub peer: SocketAddr,
    pub reason: &'a str,
}

impl ConnectionClosed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        tracing::debug!(protocol = %self.protocol, peer = %self.peer, reason = ?self.reason, "connection closed");
        let metrics = metrics.protocol(self.protocol);
        metrics.connections_closed.inc();
        metrics.connections.dec();
    }
}

/// A peer broke a rule of its protocol or went over a limit. One per connection at most, since the connection ends.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolViolation<'a> {
    pub protocol: Protocol,
    pub peer: SocketAddr,
    /// Which rule: one of our own fixed words, never something the peer sent, since it becomes a metric label.
    pub rule: &'static str,
    /// What the peer did, in words.
    pub detail: &'a str,
}

impl ProtocolViolation<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        tracing::warn!(protocol = %self.protocol, peer = %self.peer, rule = self.rule, detail = ?self.detail, "protocol violation");
        metrics.protocol_violations.get_or_create(&RuleLabel { protocol: self.protocol, rule: self.rule }).inc();
    }
}

/// A message of an SNS subscription could not be delivered, and is not sent again.
#[derive(Clone, Copy, Debug)]
pub struct SnsGivenUp<'a> {
    /// SNS's word.
    pub protocol: &'static str,
    /// The subscription.
    pub to: &'a str,
    pub reason: &'a str,
    /// It is in a dead-letter queue.
    pub kept: bool,
}

impl SnsGivenUp<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let (protocol, to, reason) = (self.protocol, self.to, self.reason);
        if self.kept {
            tracing::info!(protocol, to = ?to, reason = ?reason, "an SNS message went to its dead-letter queue");
        } else {
            tracing::warn!(protocol, to = ?to, reason = ?reason, "an SNS message was dropped: it could not be delivered");
        }
        metrics.count_sns(protocol, if self.kept { "dead_lettered" } else { "dropped" });
    }
}

/// A login was refused.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationFailed<'a> {
    pub protocol: Protocol,
    pub peer: SocketAddr,
    /// The name that was claimed.
    pub user: &'a str,
}

impl AuthenticationFailed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        tracing::warn!(protocol = %self.protocol, peer = %self.peer, user = ?self.user, "authentication failed");
        metrics.protocol(self.protocol).authentication_failures.inc();
    }
}

/// The disk of a journal is full: publishers wait, consumers drain. Its metric is the alarm's.
#[derive(Clone, Copy, Debug)]
pub struct JournalFull<'a> {
    /// Folder of the journal, such as `shard-0`.
    pub journal: &'a str,
}

impl JournalFull<'_> {
    pub fn emit(&self) {
        tracing::error!(journal = self.journal, "disk full: publishers wait until space is freed");
    }
}

/// A journal takes writes again. Goes with exactly one [`JournalFull`].
#[derive(Clone, Copy, Debug)]
pub struct JournalWritable<'a> {
    pub journal: &'a str,
}

impl JournalWritable<'_> {
    pub fn emit(&self) {
        tracing::info!(journal = self.journal, "disk has space again: publishers go on");
    }
}

/// A journal failed and is not used again before a restart. Its metric is the alarm's.
#[derive(Clone, Copy, Debug)]
pub struct JournalFailed<'a> {
    pub journal: &'a str,
    pub error: &'a dyn std::error::Error,
}

impl JournalFailed<'_> {
    pub fn emit(&self) {
        let error = self.error;
        tracing::error!(journal = self.journal, %error, "journal failed: nothing more is confirmed; check the disk, then restart");
    }
}

/// Stored messages of a queue cannot be read. Told once for a queue and a segment; its metrics are brought up to date when they are
/// asked for.
#[derive(Clone, Copy, Debug)]
pub struct MessagesUnreadable<'a> {
    pub journal: &'a str,
    /// The file in the journal's folder and the place in it, if that is what is damaged.
    pub place: Option<(&'a str, u64)>,
    pub queue: Option<&'a str>,
    pub messages: u64,
    pub error: &'a str,
}

impl MessagesUnreadable<'_> {
    pub fn emit(&self) {
        let Self { journal, place, queue, messages, error } = *self;
        let (file, offset) = place.unzip();
        tracing::error!(
            journal,
            file,
            offset,
            queue,
            messages,
            error,
            "stored messages cannot be read: they are kept as they are and all others are served; stop the broker and run `crossdock \
             store repair` on its data directory"
        );
    }
}

/// A segment was found to be damaged when it was to be cleaned. Told once until the next start; its metric is brought up to date
/// when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SegmentDamaged<'a> {
    pub journal: &'a str,
    /// The file in the journal's folder, and the first place in it that is not what was written.
    pub file: &'a str,
    pub offset: u64,
}

impl SegmentDamaged<'_> {
    pub fn emit(&self) {
        let Self { journal, file, offset } = *self;
        tracing::error!(
            journal,
            file,
            offset,
            "a segment is damaged: it is kept as it is and what is readable in it is served; stop the broker and run `crossdock \
             store repair` on its data directory"
        );
    }
}

/// The data directory's file system is nearly full. Its metric is the alarm's.
#[derive(Clone, Copy, Debug)]
pub struct DiskLow {
    pub free_bytes: u64,
    pub min_bytes: u64,
}

impl DiskLow {
    pub fn emit(&self) {
        let Self { free_bytes, min_bytes } = *self;
        tracing::error!(
            free_bytes,
            min_bytes,
            "disk low: publishers wait; free space on the data directory's file system, drain queues, or lower \
             store.disk_free_bytes_min"
        );
    }
}

/// There is enough disk space again. Goes with exactly one [`DiskLow`].
#[derive(Clone, Copy, Debug)]
pub struct DiskEnough {
    pub free_bytes: u64,
    pub min_bytes: u64,
}

impl DiskEnough {
    pub fn emit(&self) {
        let Self { free_bytes, min_bytes } = *self;
        tracing::info!(free_bytes, min_bytes, "disk space is free again: the disk alarm is lifted");
    }
}

/// The broker uses more memory than it may. Its metric is the alarm's.
#[derive(Clone, Copy, Debug)]
pub struct MemoryHigh {
    pub used_bytes: u64,
    pub max_bytes: u64,
}

impl MemoryHigh {
    pub fn emit(&self) {
        let Self { used_bytes, max_bytes } = *self;
        tracing::error!(
            used_bytes,
            max_bytes,
            "memory high: publishers wait; drain queues, give the broker more memory, or raise limits.memory_bytes_max"
        );
    }
}

/// Memory is below its limit again. Goes with exactly one [`MemoryHigh`].
#[derive(Clone, Copy, Debug)]
pub struct MemoryEnough {
    pub used_bytes: u64,
    pub max_bytes: u64,
}

impl MemoryEnough {
    pub fn emit(&self) {
        let Self { used_bytes, max_bytes } = *self;
        tracing::info!(used_bytes, max_bytes, "memory is free again: the memory alarm is lifted");
    }
}

/// All journals were read at the start.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryFinished {
    /// Records that were read.
    pub records: u64,
    pub elapsed_ms: u64,
}

impl RecoveryFinished {
    pub fn emit(&self, metrics: &Metrics) {
        let Self { records, elapsed_ms } = *self;
        tracing::info!(records, elapsed_ms, "recovery finished");
        set(&metrics.recovered_records, records);
        set(&metrics.recovery_ms, elapsed_ms);
    }
}

#[cfg(test)]
mod tests;
