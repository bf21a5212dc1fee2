//! Class 50, `queue`.

use bytes::BufMut;
use nom::Parser as _;
use nom::number::complete::be_u16;

use super::method::{MethodId, Outgoing, QUEUE, arguments};
use super::wire::{Malformed, Parsed, bits, long, put_short, short, short_len, short_text};

/// `queue.bind-ok`
pub const BIND_OK: MethodId = MethodId::new(QUEUE, 21);
/// `queue.unbind-ok`
pub const UNBIND_OK: MethodId = MethodId::new(QUEUE, 51);
/// `queue.purge-ok`
pub const PURGE_OK: MethodId = MethodId::new(QUEUE, 31);
/// `queue.delete-ok`
pub const DELETE_OK: MethodId = MethodId::new(QUEUE, 41);

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Make a queue, or ask for it.
    Declare(Declare<'a>),
    /// Bind it.
    Bind(Binding<'a>),
    /// Undo that.
    Unbind(Binding<'a>),
    /// Remove its ready messages.
    Purge { queue: &'a str, no_wait: bool },
    /// Remove it.
    Delete { queue: &'a str, if_unused: bool, if_empty: bool, no_wait: bool },
}

/// The arguments of `queue.declare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declare<'a> {
    /// Its name; empty asks for one.
    pub queue: &'a str,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// For this connection only.
    pub exclusive: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// No answer is wanted.
    pub no_wait: bool,
    /// The content of the argument table.
    pub arguments: &'a [u8],
}

/// The arguments of `queue.bind` and `queue.unbind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The queue; empty means the last declared one.
    pub queue: &'a str,
    /// The exchange.
    pub exchange: &'a str,
    /// The key or pattern.
    pub routing_key: &'a [u8],
    /// No answer is wanted.
    pub no_wait: bool,
    /// The content of the argument table.
    pub arguments: &'a [u8],
}

/// Reads the arguments of a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<Request<'_>>, Malformed> {
    match number {
        10 => arguments(input, declare, Request::Declare),
        20 => arguments(input, bind, Request::Bind),
        30 => {
            let purge = |input| (be_u16, short_text, bits).parse(input);
            arguments(input, purge, |(_, queue, bits)| Request::Purge { queue, no_wait: bits.is_set(0) })
        }
        40 => {
            let delete = |input| (be_u16, short_text, bits).parse(input);
            arguments(input, delete, |(_, queue, bits)| Request::Delete {
                queue,
                if_unused: bits.is_set(0),
                if_empty: bits.is_set(1),
                no_wait: bits.is_set(2),
            })
        }
        50 => arguments(input, unbind, Request::Unbind),
        _ => Ok(None),
    }
}

fn declare(input: &[u8]) -> Parsed<'_, Declare<'_>> {
    let (rest, (_, queue, bits, arguments)) = (be_u16, short_text, bits, long).parse(input)?;
    let declare = Declare {
        queue,
        passive: bits.is_set(0),
        durable: bits.is_set(1),
        exclusive: bits.is_set(2),
        auto_delete: bits.is_set(3),
        no_wait: bits.is_set(4),
        arguments,
    };
    Ok((rest, declare))
}

fn bind(input: &[u8]) -> Parsed<'_, Binding<'_>> {
    let (rest, (_, queue, exchange, routing_key, bits, arguments)) =
        (be_u16, short_text, short_text, short, bits, long).parse(input)?;
    Ok((rest, Binding { queue, exchange, routing_key, no_wait: bits.is_set(0), arguments }))
}

fn unbind(input: &[u8]) -> Parsed<'_, Binding<'_>> {
    let (rest, (_, queue, exchange, routing_key, arguments)) =
        (be_u16, short_text, short_text, short, long).parse(input)?;
    Ok((rest, Binding { queue, exchange, routing_key, no_wait: false, arguments }))
}

/// `queue.declare-ok`
#[derive(Clone, Copy, Debug)]
pub struct DeclareOk<'a> {
    /// Its name.
    pub queue: &'a str,
    /// Ready messages.
    pub messages: u32,
    /// Consumers.
    pub consumers: u32,
}

impl Outgoing for DeclareOk<'_> {
    const ID: MethodId = MethodId::new(QUEUE, 11);

    fn arguments_len(&self) -> usize {
        short_len(self.queue.as_bytes()) + 8
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, self.queue.as_bytes());
        buffer.put_u32(self.messages);
        buffer.put_u32(self.consumers);
    }
}

/// `queue.purge-ok`
#[derive(Clone, Copy, Debug)]
pub struct PurgeOk(pub u32);

impl Outgoing for PurgeOk {
    const ID: MethodId = PURGE_OK;

    fn arguments_len(&self) -> usize {
        4
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u32(self.0);
    }
}

/// `queue.delete-ok`
#[derive(Clone, Copy, Debug)]
pub struct DeleteOk(pub u32);

impl Outgoing for DeleteOk {
    const ID: MethodId = DELETE_OK;

    fn arguments_len(&self) -> usize {
        4
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u32(self.0);
    }
}
