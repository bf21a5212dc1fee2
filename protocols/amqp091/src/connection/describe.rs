//! What an operator is told about a connection.

use bytes::Bytes;
use crossdock_common::{Description, Table, Text, Value};

use super::{Connection, Phase};
use crate::frame::table::{self, Budget};
use crate::options::Mechanism;

const CONNECTION_NAME: &str = "connection_name";

/// Who the client says it is.
pub(super) struct Client {
    /// The content of its properties, checked: decoded when somebody asks.
    properties: Bytes,
    mechanism: Mechanism,
}

impl Client {
    pub(super) fn new(properties: &[u8], mechanism: Mechanism) -> Self {
        Self { properties: Bytes::copy_from_slice(properties), mechanism }
    }

    fn properties(&self) -> Table {
        table::decode(&self.properties, &self.properties, &mut Budget::checked()).unwrap_or_default()
    }
}

impl Connection {
    pub(super) fn description(&self) -> Description {
        let client_properties = self.client.as_ref().map(|client| client.properties()).unwrap_or_default();
        let name = crossdock_common::value::lookup(&client_properties, CONNECTION_NAME);
        Description {
            protocol: Text::from_static("AMQP 0-9-1"),
            auth_mechanism: self.client.as_ref().map_or("", |client| client.mechanism.name()),
            name: name.and_then(Value::as_str).map(Text::from),
            client_properties,
            channel_max: self.agreed.channel_max,
            frame_bytes_max: self.agreed.frame_max,
            heartbeat_s: self.agreed.heartbeat_seconds,
            channels: match &self.phase {
                Phase::Running(session) => {
                    session.open_channels().map(|channel| channel.description(&session.shared)).collect()
                }
                _ => Vec::new(),
            },
            ..Description::default()
        }
    }
}
