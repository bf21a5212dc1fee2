//! What an operator is told about a client.

use crossdock_common::description::{ChannelDescription, ConsumerDescription};
use crossdock_common::{Description, Text};

use super::Session;

impl Session {
    pub(crate) fn description(&self) -> Description {
        let consuming = self.subscriptions.iter().filter(|(_, subscription)| subscription.part.consumes());
        let consumers = consuming.map(|(id, subscription)| ConsumerDescription {
            id: *id,
            tag: subscription.tag.0.clone(),
            queue: subscription.queue.clone(),
            prefetch: subscription.window,
            arguments: Vec::new(),
        });
        let channel = ChannelDescription { number: 1, consumers: consumers.collect(), ..ChannelDescription::default() };
        Description {
            protocol: Text::from(format!("STOMP {}", self.peer.version.name())),
            channels: vec![channel],
            ..Description::default()
        }
    }
}
