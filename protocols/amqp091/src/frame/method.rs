//! Methods: their numbers, the sum of what clients send, and the frame around what we send.

use bytes::{BufMut, BytesMut};
use nom::Parser as _;
use nom::number::complete::be_u16;

use super::wire::{Malformed, Parsed, whole};
use super::{
    FRAME_END, FRAME_OVERHEAD, Kind, access, basic, channel, confirm, connection, exchange, put_head, queue, tx,
};
use crate::error::{Fault, ReplyCode};

/// Class `connection`.
pub const CONNECTION: u16 = 10;
/// Class `channel`.
pub const CHANNEL: u16 = 20;
/// Class `access`, a relic of AMQP 0-8.
pub const ACCESS: u16 = 30;
/// Class `exchange`.
pub const EXCHANGE: u16 = 40;
/// Class `queue`.
pub const QUEUE: u16 = 50;
/// Class `basic`.
pub const BASIC: u16 = 60;
/// Class `confirm`.
pub const CONFIRM: u16 = 85;
/// Class `tx`.
pub const TX: u16 = 90;

/// The numbers of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodId {
    /// Its class.
    pub class: u16,
    /// Its number within the class.
    pub method: u16,
}

impl MethodId {
    /// No method.
    pub const NONE: Self = Self::new(0, 0);

    /// The method of that class and number.
    pub const fn new(class: u16, method: u16) -> Self {
        Self { class, method }
    }
}

/// What a client sends, borrowed from the read buffer. Tables are not decoded yet.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// Class 10.
    Connection(connection::Request<'a>),
    /// Class 20.
    Channel(channel::Request),
    /// Class 30.
    Access,
    /// Class 40.
    Exchange(exchange::Request<'a>),
    /// Class 50.
    Queue(queue::Request<'a>),
    /// Class 60.
    Basic(basic::Request<'a>),
    /// Class 85.
    Confirm(confirm::Select),
    /// Class 90.
    Tx(tx::Request),
}

/// The numbers at the head of a method frame's payload, and its arguments.
pub fn split(payload: &[u8]) -> Result<(MethodId, &[u8]), Fault> {
    let numbers: Parsed<'_, (u16, u16)> = (be_u16, be_u16).parse(payload);
    match numbers {
        Ok((arguments, (class, method))) => Ok((MethodId::new(class, method), arguments)),
        Err(_) => Err(Fault::new(ReplyCode::SyntaxError, "method frame is cut short")),
    }
}

/// Reads the arguments of the method `id`.
pub fn parse(id: MethodId, arguments: &[u8]) -> Result<Method<'_>, Fault> {
    let number = id.method;
    let parsed = match id.class {
        CONNECTION => connection::parse(number, arguments).map(|found| found.map(Method::Connection)),
        CHANNEL => channel::parse(number, arguments).map(|found| found.map(Method::Channel)),
        ACCESS => access::parse(number, arguments).map(|found| found.map(|()| Method::Access)),
        EXCHANGE => exchange::parse(number, arguments).map(|found| found.map(Method::Exchange)),
        QUEUE => queue::parse(number, arguments).map(|found| found.map(Method::Queue)),
        BASIC => basic::parse(number, arguments).map(|found| found.map(Method::Basic)),
        CONFIRM => confirm::parse(number, arguments).map(|found| found.map(Method::Confirm)),
        TX => Ok(tx::parse(number, arguments)?.map(Method::Tx)),
        _ => Ok(None),
    };
    match parsed {
        Ok(Some(method)) => Ok(method),
        Ok(None) => Err(unknown(id)),
        Err(malformed) => Err(Fault::from(malformed).at(id)),
    }
}

fn unknown(id: MethodId) -> Fault {
    Fault::not_implemented(format!("unknown method {}/{}", id.class, id.method)).at(id)
}

/// Arguments read with `parser`, wrapped by `make`.
pub(crate) fn arguments<'a, T, R>(
    input: &'a [u8],
    parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    make: impl FnOnce(T) -> R,
) -> Result<Option<R>, Malformed> {
    whole(input, parser).map(|value| Some(make(value)))
}

/// A method that we send.
pub trait Outgoing {
    /// Its numbers.
    const ID: MethodId;
    /// Bytes of its arguments.
    fn arguments_len(&self) -> usize;
    /// Writes its arguments.
    fn put_arguments(&self, buffer: &mut impl BufMut);
}

/// Bytes of the whole method frame.
pub fn frame_len(method: &impl Outgoing) -> usize {
    FRAME_OVERHEAD + 4 + method.arguments_len()
}

/// Writes a method frame.
pub fn put_method<M: Outgoing>(buffer: &mut BytesMut, channel: u16, method: &M) {
    buffer.reserve(frame_len(method));
    let start = buffer.len();
    put_method_head(buffer, channel, M::ID, method.arguments_len());
    method.put_arguments(buffer);
    buffer.put_u8(FRAME_END);
    debug_assert_eq!(buffer.len() - start, frame_len(method));
}

/// Writes the frame of a method without arguments.
pub fn put_empty(buffer: &mut BytesMut, channel: u16, id: MethodId) {
    buffer.reserve(FRAME_OVERHEAD + 4);
    put_method_head(buffer, channel, id, 0);
    buffer.put_u8(FRAME_END);
}

fn put_method_head(buffer: &mut BytesMut, channel: u16, id: MethodId, arguments_len: usize) {
    put_head(buffer, Kind::Method, channel, 4 + arguments_len);
    buffer.put_u32(u32::from(id.class) << 16 | u32::from(id.method));
}
