//! What an operator is told about a channel.

use crossdock_common::description::{ChannelDescription, ConsumerDescription};

use super::{Channel, Mode};
use crate::connection::shared::Shared;

impl Channel {
    pub(crate) fn description(&self, shared: &Shared) -> ChannelDescription {
        let mut description = ChannelDescription {
            number: self.number,
            prefetch: self.prefetch.into(),
            prefetch_global: self.prefetch_global.into(),
            unsettled: self.unsettled.len() as u64,
            delivered: self.last_delivery_tag,
            consumers: self.consumer_descriptions(shared),
            ..ChannelDescription::default()
        };
        match &self.mode {
            Mode::Plain => {}
            Mode::Confirm(confirms) => {
                description.confirm = true;
                description.unconfirmed = confirms.waiting() as u64;
                description.published = Some(confirms.last_number() - confirms.base());
            }
            Mode::Transaction(transaction) => {
                description.transactional = true;
                (description.uncommitted, description.settlements_uncommitted) = transaction.gathered();
                description.published = Some(transaction.last_number() - transaction.base());
            }
        }
        description
    }

    fn consumer_descriptions(&self, shared: &Shared) -> Vec<ConsumerDescription> {
        let describe = |(tag, id): (&crossdock_common::Text, &crossdock_common::ConsumerId)| {
            let consumer = shared.consumers.get(*id)?;
            Some(ConsumerDescription {
                id: *id,
                tag: tag.clone(),
                queue: consumer.queue.clone(),
                prefetch: consumer.prefetch.into(),
                arguments: consumer.arguments.clone(),
            })
        };
        self.consumers.iter().filter_map(describe).collect()
    }
}
