//! When the connection has to do something although nothing arrives.

use crossdock_common::{Instant, Limits};

/// How long a peer may take to answer `connection.close`.
pub(crate) const CLOSING_MS: u64 = 10_000;

/// What a deadline means when it has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The handshake took too long.
    Handshake,
    /// The peer did not answer our close.
    Closing,
    /// The peer was silent for two heart-beat intervals.
    PeerDead,
    /// We were silent for half an interval.
    Heartbeat,
}

/// All deadlines of one connection.
#[derive(Debug)]
pub(crate) struct Timers {
    handshake: Option<Instant>,
    closing: Option<Instant>,
    heartbeat_ms: u64,
    sent: Instant,
    received: Instant,
}

impl Timers {
    pub(crate) fn new(now: Instant, limits: &Limits) -> Self {
        let handshake = Some(now.after_ms(limits.handshake_timeout_ms));
        Self { handshake, closing: None, heartbeat_ms: 0, sent: now, received: now }
    }

    pub(crate) fn note_sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(crate) fn note_received(&mut self, now: Instant) {
        self.received = now;
    }

    /// The agreed heart-beat; 0 is none.
    pub(crate) fn set_heartbeat(&mut self, seconds: u16) {
        self.heartbeat_ms = u64::from(seconds) * 1000;
    }

    pub(crate) fn end_handshake(&mut self) {
        self.handshake = None;
    }

    /// From now on only the answer to our close is awaited.
    pub(crate) fn begin_closing(&mut self, now: Instant) {
        self.handshake = None;
        self.heartbeat_ms = 0;
        self.closing.get_or_insert(now.after_ms(CLOSING_MS));
    }

    /// What comes next, and when.
    pub(crate) fn next(&self) -> Option<(Instant, Due)> {
        let beats = self.heartbeat_ms > 0;
        let dead = beats.then(|| (self.received.after_ms(2 * self.heartbeat_ms), Due::PeerDead));
        let beat = beats.then(|| (self.sent.after_ms(self.heartbeat_ms / 2), Due::Heartbeat));
        let handshake = self.handshake.map(|at| (at, Due::Handshake));
        let closing = self.closing.map(|at| (at, Due::Closing));
        [handshake, closing, dead, beat].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
