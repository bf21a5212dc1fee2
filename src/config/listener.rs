//! Which listeners run, after everything that decides it is known.

use std::fmt;
use std::net::SocketAddr;

use super::scalar::Scalar;
use super::settings::{ListenerSettings, ListenersSettings, Settings, Switch};
use super::tree::Value;

/// The listeners there can be; their names are the keys under `listeners`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenerKind {
    Amqp,
    Amqps,
    Mqtt,
    Mqtts,
    Stomp,
    Stomps,
    Ws,
    Wss,
    Any,
    Aws,
    Management,
}

impl ListenerKind {
    /// All kinds, in the order of the configuration.
    pub const ALL: [Self; 11] = [
        Self::Amqp,
        Self::Amqps,
        Self::Mqtt,
        Self::Mqtts,
        Self::Stomp,
        Self::Stomps,
        Self::Ws,
        Self::Wss,
        Self::Any,
        Self::Aws,
        Self::Management,
    ];

    /// The key under `listeners`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Amqps => "amqps",
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Stomp => "stomp",
            Self::Stomps => "stomps",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Any => "any",
            Self::Aws => "aws",
            Self::Management => "management",
        }
    }

    /// Whether connections start with a TLS handshake.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Amqps | Self::Mqtts | Self::Stomps | Self::Wss)
    }
}

impl fmt::Display for ListenerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a WebSocket can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebProtocol {
    Mqtt,
    Stomp,
    Amqp,
}

impl WebProtocol {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Mqtt, Self::Stomp, Self::Amqp];

    /// The word that stands for it in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Stomp => "stomp",
            Self::Amqp => "amqp",
        }
    }

    /// The listeners of its own, without and with TLS.
    fn listeners(self) -> [ListenerKind; 2] {
        match self {
            Self::Mqtt => [ListenerKind::Mqtt, ListenerKind::Mqtts],
            Self::Stomp => [ListenerKind::Stomp, ListenerKind::Stomps],
            Self::Amqp => [ListenerKind::Amqp, ListenerKind::Amqps],
        }
    }
}

/// A listener that is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub kind: ListenerKind,
    /// Port 0 means any free port.
    pub address: SocketAddr,
}

impl ListenersSettings {
    /// The settings of one kind.
    pub fn of(&self, kind: ListenerKind) -> &ListenerSettings {
        match kind {
            ListenerKind::Amqp => &self.amqp,
            ListenerKind::Amqps => &self.amqps,
            ListenerKind::Mqtt => &self.mqtt,
            ListenerKind::Mqtts => &self.mqtts,
            ListenerKind::Stomp => &self.stomp,
            ListenerKind::Stomps => &self.stomps,
            ListenerKind::Ws => &self.ws,
            ListenerKind::Wss => &self.wss,
            ListenerKind::Any => &self.any,
            ListenerKind::Aws => &self.aws,
            ListenerKind::Management => &self.management,
        }
    }
}

impl Settings {
    /// The listeners to start, in the order of the configuration.
    pub fn active_listeners(&self) -> Vec<Listener> {
        let active = ListenerKind::ALL.into_iter().filter(|kind| self.is_active(*kind));
        active.map(|kind| Listener { kind, address: self.address_of(kind) }).collect()
    }

    /// The kinds of listeners whose connections come through a proxy.
    pub fn proxied_listeners(&self) -> Vec<ListenerKind> {
        ListenerKind::ALL.into_iter().filter(|kind| self.listeners.of(*kind).proxy_protocol).collect()
    }

    /// What WebSockets may carry.
    pub fn web_protocols(&self) -> Vec<WebProtocol> {
        let named = |protocol: &WebProtocol| self.websocket.protocols.iter().any(|word| word == protocol.word());
        let is_enabled = |protocol: &WebProtocol| {
            if self.websocket.protocols.is_empty() { self.has_listener_of(*protocol) } else { named(protocol) }
        };
        WebProtocol::ALL.into_iter().filter(is_enabled).collect()
    }

    /// Whether there is a listener for this only, with or without TLS.
    pub fn has_listener_of(&self, protocol: WebProtocol) -> bool {
        protocol.listeners().into_iter().any(|kind| self.is_active(kind))
    }

    /// Whether there is a listener of that kind.
    pub fn is_active(&self, kind: ListenerKind) -> bool {
        match self.listeners.of(kind).enabled {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => !kind.is_tls() || self.tls.certificate.is_some(),
        }
    }

    fn address_of(&self, kind: ListenerKind) -> SocketAddr {
        let settings = self.listeners.of(kind);
        SocketAddr::new(settings.bind, settings.port)
    }
}

impl Scalar for Switch {
    fn expected() -> String {
        "true, false or \"auto\"".into()
    }

    fn parse(value: &Value) -> Option<Self> {
        match bool::parse(value) {
            Some(true) => Some(Self::On),
            Some(false) => Some(Self::Off),
            None => (String::parse(value)? == "auto").then_some(Self::Auto),
        }
    }

    fn to_toml(&self) -> Option<String> {
        let word = match self {
            Self::On => "true",
            Self::Off => "false",
            Self::Auto => "\"auto\"",
        };
        Some(word.into())
    }
}
