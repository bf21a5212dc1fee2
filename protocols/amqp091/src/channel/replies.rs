//! Direct reply-to: a channel that consumes `amq.rabbitmq.reply-to` has an address of its own. Its messages carry the address, and
//! whoever publishes to it through the default exchange, in whatever protocol, reaches the channel.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use crossdock_common::definition::{Definition, Inner, QueueSettings, QueueSpec, REPLY_ADDRESS};
use crossdock_common::{Name, Text};

use super::Channel;
use crate::connection::requests::Pending;
use crate::connection::shared::Context;
pub(super) use crate::convert::facts::REPLY_TO;
use crate::error::Fault;
use crate::frame::method::MethodId;
use crate::frame::properties::Properties;

/// Where answers to a channel go.
pub(super) struct Replies {
    address: Name,
    /// The consumer that gets them.
    tag: Text,
}

impl Channel {
    /// Makes an address for the consumer; it goes with the consumer.
    pub(super) fn open_replies(
        &mut self,
        cx: &mut Context<'_>,
        id: MethodId,
        tag: &Text,
        no_ack: bool,
    ) -> Result<Name, Fault> {
        if !no_ack {
            return Err(Fault::precondition("reply consumer cannot acknowledge"));
        }
        if self.replies.is_some() {
            return Err(Fault::precondition("reply consumer already set"));
        }
        let token = URL_SAFE_NO_PAD.encode(cx.shared.secrets.token());
        let address = Name::from(format!("{REPLY_ADDRESS}{token}"));
        self.replies = Some(Replies { address: address.clone(), tag: tag.clone() });
        let spec = QueueSpec {
            name: address.clone(),
            exclusive: true,
            auto_delete: true,
            settings: QueueSettings { inner: Some(Inner::Replies), ..QueueSettings::default() }.into(),
            ..QueueSpec::default()
        };
        self.define(cx, id, Pending::Silent, Definition::DeclareQueue { spec, passive: false });
        Ok(address)
    }

    /// A consumer ends: if it was the one for replies, the channel has no address any more.
    pub(super) fn close_replies(&mut self, tag: &str) {
        if self.replies.as_ref().is_some_and(|replies| *replies.tag == *tag) {
            self.replies = None;
        }
    }

    /// The properties of a message whose answers shall come to this channel.
    pub(super) fn with_reply_address(&self, properties: &Bytes) -> Result<Bytes, Fault> {
        let missing = || Fault::precondition("fast reply consumer does not exist");
        let replies = self.replies.as_ref().ok_or_else(missing)?;
        let parsed = Properties::parse(properties)?;
        Ok(Properties { reply_to: Some(replies.address.as_bytes()), ..parsed }.to_vec().into())
    }
}
