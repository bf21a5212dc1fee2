//! What passes between a connection and the core, counted in batches.

use crossdock_common::{Command, Event};

use super::metrics::ProtocolMetrics;

impl ProtocolMetrics {
    /// Counts what clients asked for.
    pub fn count_commands<'a>(&self, commands: impl IntoIterator<Item = &'a Command>) {
        let (mut published, mut published_bytes, mut settled) = (0, 0, 0);
        for command in commands {
            match command {
                Command::Publish(publish) => {
                    published += 1;
                    published_bytes += publish.message.body_bytes() as u64;
                }
                Command::PublishRun(publish) => {
                    published += publish.run.len() as u64;
                    published_bytes += publish.run.bodies_bytes() as u64;
                }
                Command::Settle { deliveries, .. } => settled += deliveries.len() as u64,
                _ => {}
            }
        }
        if published > 0 {
            self.messages_published.inc_by(published);
            self.published_body_bytes.inc_by(published_bytes);
        }
        if settled > 0 {
            self.messages_settled.inc_by(settled);
        }
    }

    /// Counts what clients get.
    pub fn count_event(&self, event: &Event) {
        match event {
            Event::Deliver(deliveries) | Event::Fetched { deliveries, .. } => {
                self.messages_delivered.inc_by(deliveries.len() as u64);
                let bytes: usize = deliveries.iter().map(|delivery| delivery.message.body_bytes()).sum();
                self.delivered_body_bytes.inc_by(bytes as u64);
            }
            Event::DeliverRun(delivery) => {
                self.messages_delivered.inc_by(delivery.run.len() as u64);
                self.delivered_body_bytes.inc_by(delivery.run.bodies_bytes() as u64);
            }
            Event::Confirmed { confirms, .. } => {
                self.messages_confirmed.inc_by(confirms.len() as u64);
            }
            Event::Unroutable { mandatory: true, .. } => drop(self.messages_returned.inc()),
            Event::Unroutable { mandatory: false, .. } => drop(self.messages_unroutable.inc()),
            _ => {}
        }
    }
}
