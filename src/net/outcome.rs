//! How a connection ended, for the log and the counters.

use std::io;
use std::net::SocketAddr;

use crossdock_common::output::Close;
use crossdock_websocket::{CloseCode, Violation};

use super::websocket;
use crate::telemetry::Metrics;
use crate::telemetry::Protocol;
use crate::telemetry::events::{ConnectionClosed, ProtocolViolation};

/// The end of a connection.
pub(super) enum Ending {
    /// The machine wanted it.
    Closed(Close),
    /// The peer hung up without a goodbye.
    PeerGone,
    /// The socket broke.
    Broken(io::Error),
    /// The peer broke a rule of WebSocket.
    Misframed(Violation),
}

impl Ending {
    /// What an error in reading or writing means.
    pub(super) fn of(error: io::Error) -> Self {
        websocket::violation(&error).map_or(Self::Broken(error), Self::Misframed)
    }

    /// Whether the peer waits for a goodbye, and what a WebSocket's peer is told.
    pub(super) fn farewell(&self) -> Option<CloseCode> {
        match self {
            Self::Closed(close) => Some(websocket::close_code(close)),
            Self::Misframed(violation) => Some(violation.code()),
            Self::PeerGone | Self::Broken(_) => None,
        }
    }

    /// One line and one count, naming the peer and the reason.
    pub(super) fn report(&self, protocol: Protocol, peer: SocketAddr, metrics: &Metrics) {
        if let Self::Closed(Close::Violation { rule, detail }) = self {
            ProtocolViolation { protocol, peer, rule, detail }.emit(metrics);
        }
        if let Self::Misframed(violation) = self {
            ProtocolViolation { protocol, peer, rule: "WebSocket", detail: violation.detail() }.emit(metrics);
        }
        if let Self::Closed(Close::TimedOut(what)) = self {
            tracing::info!(%protocol, %peer, what, "a silent peer is given up");
        }
        let reason = self.to_string();
        ConnectionClosed { protocol, peer, reason: &reason }.emit(metrics);
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(Close::Normal) => f.write_str("closed"),
            Self::Closed(Close::Violation { rule, .. }) => f.write_str(rule),
            Self::Closed(Close::Refused(why)) => write!(f, "refused: {why}"),
            Self::Closed(Close::TimedOut(what)) => write!(f, "timed out: {what}"),
            Self::Closed(Close::Shutdown) => f.write_str("shutdown"),
            Self::Closed(Close::TakenOver) => f.write_str("taken over"),
            Self::PeerGone => f.write_str("peer hung up"),
            Self::Broken(error) => write!(f, "connection broke: {error}"),
            Self::Misframed(violation) => violation.fmt(f),
        }
    }
}
