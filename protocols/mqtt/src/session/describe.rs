//! What an operator is told about a client.

use crossdock_common::description::ChannelDescription;
use crossdock_common::{Description, Text, Value};

use super::Session;
use crate::packet::Version;

impl Session {
    /// As RabbitMQ: the client identifier is a client property.
    pub(crate) fn description(&self) -> Description {
        let client_id = Text::from(self.peer.client_id.as_str());
        Description {
            protocol: Text::from_static(match self.peer.version {
                Version::V31 => "MQTT 3.1",
                Version::V311 => "MQTT 3.1.1",
                Version::V5 => "MQTT 5.0",
            }),
            client_properties: vec![(Text::from_static("client_id"), Value::String(client_id))],
            frame_bytes_max: self.peer.packet_bytes_max,
            heartbeat_s: self.keep_alive_s,
            channels: vec![ChannelDescription {
                number: 1,
                prefetch: self.peer.window(),
                confirm: true,
                ..ChannelDescription::default()
            }],
            ..Description::default()
        }
    }
}
