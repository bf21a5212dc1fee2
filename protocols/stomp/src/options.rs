//! What a listener tells every connection it makes.

use std::sync::Arc;

use crossdock_common::{Limits, Name, Text};

/// The settings of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// The limits to keep.
    pub limits: Arc<Limits>,
    /// The product in CONNECTED's `server` header.
    pub server_name: Text,
    /// The version in CONNECTED's `server` header.
    pub server_version: Text,
    /// The vhost of clients that name none, or one that does not exist (many clients put a host name there).
    pub default_vhost: Name,
    /// Where session names come from.
    pub seed: u64,
    /// The name in the verified client certificate, if there is one: used when the client sends no `login`.
    pub certificate_name: Option<Name>,
    /// Clients without `login` and certificate may come in as nobody.
    pub allow_anonymous: bool,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            limits: Arc::default(),
            server_name: Text::from_static("Crossdock"),
            server_version: Text::from_static(env!("CARGO_PKG_VERSION")),
            default_vhost: Name::from("/"),
            seed: 0,
            certificate_name: None,
            allow_anonymous: false,
        }
    }
}
