//! What a listener tells every connection it makes.

use std::sync::Arc;

use crossdock_common::{Limits, Name, Text};

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: name and password.
    Plain,
    /// AMQP 0-8's own: a field table with `LOGIN` and `PASSWORD`.
    AmqPlain,
    /// The verified client certificate; offered only where there is one.
    External,
    /// Nobody in particular; for listeners that allow it.
    Anonymous,
}

impl Mechanism {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
            Self::Anonymous => "ANONYMOUS",
        }
    }
}

/// The settings of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// The limits to keep.
    pub limits: Arc<Limits>,
    /// `product` in the server properties.
    pub product: Text,
    /// `version` in the server properties.
    pub version: Text,
    /// `cluster_name` in the server properties.
    pub node: Text,
    /// Where generated consumer tags come from.
    pub seed: u64,
    /// Offered in this order.
    pub mechanisms: Vec<Mechanism>,
    /// The name in the verified client certificate, if there is one.
    pub certificate_name: Option<Name>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            limits: Arc::default(),
            product: Text::from_static("Crossdock"),
            version: Text::from_static(env!("CARGO_PKG_VERSION")),
            node: Text::from_static("crossdock@localhost"),
            seed: 0,
            mechanisms: vec![Mechanism::Plain, Mechanism::AmqPlain, Mechanism::External],
            certificate_name: None,
        }
    }
}

impl ConnectionOptions {
    /// What may be offered: EXTERNAL needs a certificate.
    pub(crate) fn offered(&self) -> impl Iterator<Item = Mechanism> {
        let has_certificate = self.certificate_name.is_some();
        self.mechanisms.iter().copied().filter(move |mechanism| *mechanism != Mechanism::External || has_certificate)
    }
}
