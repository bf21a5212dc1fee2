//! Class 60, `basic`: what we send.

use bytes::BufMut;

use crate::error::ReplyCode;
use crate::frame::method::{BASIC, MethodId, Outgoing};
use crate::frame::wire::{put_short, short_len};

/// `basic.consume-ok`
#[derive(Clone, Copy, Debug)]
pub struct ConsumeOk<'a>(pub &'a str);

impl Outgoing for ConsumeOk<'_> {
    const ID: MethodId = MethodId::new(BASIC, 21);

    fn arguments_len(&self) -> usize {
        short_len(self.0.as_bytes())
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, self.0.as_bytes());
    }
}

/// `basic.cancel`, which no client answers.
#[derive(Clone, Copy, Debug)]
pub struct Cancel<'a>(pub &'a str);

impl Outgoing for Cancel<'_> {
    const ID: MethodId = MethodId::new(BASIC, 30);

    fn arguments_len(&self) -> usize {
        short_len(self.0.as_bytes()) + 1
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, self.0.as_bytes());
        buffer.put_u8(1);
    }
}

/// `basic.cancel-ok`
#[derive(Clone, Copy, Debug)]
pub struct CancelOk<'a>(pub &'a str);

impl Outgoing for CancelOk<'_> {
    const ID: MethodId = MethodId::new(BASIC, 31);

    fn arguments_len(&self) -> usize {
        short_len(self.0.as_bytes())
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, self.0.as_bytes());
    }
}

/// `basic.return`: no queue took it.
#[derive(Clone, Copy, Debug)]
pub struct Return<'a> {
    /// Where it was published.
    pub exchange: &'a str,
    /// With which key.
    pub routing_key: &'a [u8],
}

impl Outgoing for Return<'_> {
    const ID: MethodId = MethodId::new(BASIC, 50);

    fn arguments_len(&self) -> usize {
        2 + short_len(b"NO_ROUTE") + short_len(self.exchange.as_bytes()) + short_len(self.routing_key)
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u16(ReplyCode::NoRoute.number());
        put_short(buffer, ReplyCode::NoRoute.word().as_bytes());
        put_short(buffer, self.exchange.as_bytes());
        put_short(buffer, self.routing_key);
    }
}

/// `basic.deliver`
#[derive(Clone, Copy, Debug)]
pub struct Deliver<'a> {
    /// To whom.
    pub consumer_tag: &'a str,
    /// What settles it.
    pub delivery_tag: u64,
    /// It was handed out before.
    pub redelivered: bool,
    /// Where it was published.
    pub exchange: &'a str,
    /// With which key.
    pub routing_key: &'a [u8],
}

impl Outgoing for Deliver<'_> {
    const ID: MethodId = MethodId::new(BASIC, 60);

    fn arguments_len(&self) -> usize {
        short_len(self.consumer_tag.as_bytes()) + 9 + short_len(self.exchange.as_bytes()) + short_len(self.routing_key)
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, self.consumer_tag.as_bytes());
        buffer.put_u64(self.delivery_tag);
        buffer.put_u8(self.redelivered.into());
        put_short(buffer, self.exchange.as_bytes());
        put_short(buffer, self.routing_key);
    }
}

/// `basic.get-ok`
#[derive(Clone, Copy, Debug)]
pub struct GetOk<'a> {
    /// What settles it.
    pub delivery_tag: u64,
    /// It was handed out before.
    pub redelivered: bool,
    /// Where it was published.
    pub exchange: &'a str,
    /// With which key.
    pub routing_key: &'a [u8],
    /// Messages that are still ready.
    pub message_count: u32,
}

impl Outgoing for GetOk<'_> {
    const ID: MethodId = MethodId::new(BASIC, 71);

    fn arguments_len(&self) -> usize {
        13 + short_len(self.exchange.as_bytes()) + short_len(self.routing_key)
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u64(self.delivery_tag);
        buffer.put_u8(self.redelivered.into());
        put_short(buffer, self.exchange.as_bytes());
        put_short(buffer, self.routing_key);
        buffer.put_u32(self.message_count);
    }
}

/// `basic.get-empty`
#[derive(Clone, Copy, Debug)]
pub struct GetEmpty;

impl Outgoing for GetEmpty {
    const ID: MethodId = MethodId::new(BASIC, 72);

    fn arguments_len(&self) -> usize {
        1
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, b"");
    }
}

/// `basic.ack`: published messages are where they shall be.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// The number of the publish.
    pub delivery_tag: u64,
    /// And all before it.
    pub multiple: bool,
}

impl Outgoing for Ack {
    const ID: MethodId = MethodId::new(BASIC, 80);

    fn arguments_len(&self) -> usize {
        9
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u64(self.delivery_tag);
        buffer.put_u8(self.multiple.into());
    }
}

/// `basic.nack`: a queue did not take a published message.
#[derive(Clone, Copy, Debug)]
pub struct Nack {
    /// The number of the publish.
    pub delivery_tag: u64,
}

impl Outgoing for Nack {
    const ID: MethodId = MethodId::new(BASIC, 120);

    fn arguments_len(&self) -> usize {
        9
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u64(self.delivery_tag);
        // Not multiple; and requeue, which means nothing here, as RabbitMQ has it.
        buffer.put_u8(2);
    }
}
