//! Heart-beats: any byte in either direction counts, a lone LF if there is nothing to say.

use crossdock_common::{Instant, Limits, Now};

use crate::error::{Fault, quote};

/// We neither promise nor expect a beat more often than this, whatever the peer wishes (`heart-beat:0,1`).
const INTERVAL_MS_MIN: u64 = 1_000;
/// A peer may be late by a whole interval before it is given up.
const TOLERANCE: u64 = 2;

/// The peer's `heart-beat` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beats {
    /// What it can do.
    can_ms: u64,
    /// What it would like to get.
    wants_ms: u64,
}

impl Beats {
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = header else { return Ok(Self::default()) };
        let number = |text: &str| {
            let digits = text.trim();
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        text.split_once(',')
            .and_then(|(can, wants)| Some(Self { can_ms: number(can)?, wants_ms: number(wants)? }))
            .ok_or_else(|| {
                let detail = format!("heart-beat '{}' is not two numbers of milliseconds", quote(text));
                Fault::violation("Invalid header", detail)
            })
    }
}

/// The heart-beats of a connection.
#[derive(Debug)]
pub(super) struct Heartbeat {
    send_ms: u64,
    receive_ms: u64,
    sent_at: Instant,
    received_at: Instant,
}

impl Heartbeat {
    /// Grants what the peer wishes, unless the configuration wants no heart-beats.
    pub(super) fn new(now: Now, beats: Beats, limits: &Limits) -> Self {
        let grant = |ms: u64| if ms == 0 || limits.heartbeat_ms == 0 { 0 } else { ms.max(INTERVAL_MS_MIN) };
        Self {
            send_ms: grant(beats.wants_ms),
            receive_ms: grant(beats.can_ms),
            sent_at: now.instant,
            received_at: now.instant,
        }
    }

    /// The value of CONNECTED's header: what we send, what we expect.
    pub(super) fn header(&self) -> String {
        format!("{},{}", self.send_ms, self.receive_ms)
    }

    pub(super) fn sent(&mut self, now: Now) {
        self.sent_at = now.instant;
    }

    pub(super) fn received(&mut self, now: Now) {
        self.received_at = now.instant;
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        self.next_send().is_some_and(|at| at <= now.instant)
    }

    pub(super) fn is_silent(&self, now: Now) -> bool {
        self.given_up_at().is_some_and(|at| at <= now.instant)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.next_send(), self.given_up_at()].into_iter().flatten().min()
    }

    /// A little before the promised time, which is measured where the beat arrives.
    fn next_send(&self) -> Option<Instant> {
        (self.send_ms > 0).then(|| self.sent_at.after_ms(self.send_ms - self.send_ms / 10))
    }

    fn given_up_at(&self) -> Option<Instant> {
        (self.receive_ms > 0).then(|| self.received_at.after_ms(self.receive_ms.saturating_mul(TOLERANCE)))
    }
}
