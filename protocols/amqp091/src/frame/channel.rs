//! Class 20, `channel`.

use bytes::BufMut;
use nom::Parser as _;
use nom::number::complete::be_u16;

use super::method::{CHANNEL, MethodId, Outgoing, arguments};
use super::wire::{Malformed, bits, put_long, put_short, short, short_len};
use crate::error::Fault;

/// `channel.open`
pub const OPEN: MethodId = MethodId::new(CHANNEL, 10);
/// `channel.close`
pub const CLOSE: MethodId = MethodId::new(CHANNEL, 40);
/// `channel.close-ok`
pub const CLOSE_OK: MethodId = MethodId::new(CHANNEL, 41);

/// What a client sends. The reason it gives for closing is of no interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Open the channel.
    Open,
    /// Stop or resume deliveries.
    Flow { active: bool },
    /// The answer to a flow that we never send.
    FlowOk,
    /// Close the channel.
    Close,
    /// The answer to our close.
    CloseOk,
}

/// Reads the arguments of a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<Request>, Malformed> {
    match number {
        10 => arguments(input, short, |_| Request::Open),
        20 => arguments(input, bits, |bits| Request::Flow { active: bits.is_set(0) }),
        21 => arguments(input, bits, |_| Request::FlowOk),
        40 => arguments(input, |input| (be_u16, short, be_u16, be_u16).parse(input), |_| Request::Close),
        41 => arguments(input, |input| Ok((input, ())), |()| Request::CloseOk),
        _ => Ok(None),
    }
}

/// `channel.open-ok`
#[derive(Clone, Copy, Debug)]
pub struct OpenOk;

impl Outgoing for OpenOk {
    const ID: MethodId = MethodId::new(CHANNEL, 11);

    fn arguments_len(&self) -> usize {
        4
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_long(buffer, b"");
    }
}

/// `channel.flow-ok`
#[derive(Clone, Copy, Debug)]
pub struct FlowOk {
    /// As asked.
    pub active: bool,
}

impl Outgoing for FlowOk {
    const ID: MethodId = MethodId::new(CHANNEL, 21);

    fn arguments_len(&self) -> usize {
        1
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u8(self.active.into());
    }
}

/// `channel.close`
#[derive(Clone, Copy, Debug)]
pub struct Close<'a>(pub &'a Fault);

impl Outgoing for Close<'_> {
    const ID: MethodId = CLOSE;

    fn arguments_len(&self) -> usize {
        close_len(self.0)
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_close(buffer, self.0);
    }
}

/// `connection.close` has the same arguments.
pub(super) fn close_len(fault: &Fault) -> usize {
    6 + short_len(fault.reply_text().as_bytes())
}

pub(super) fn put_close(buffer: &mut impl BufMut, fault: &Fault) {
    buffer.put_u16(fault.code.number());
    put_short(buffer, fault.reply_text().as_bytes());
    buffer.put_u16(fault.method.class);
    buffer.put_u16(fault.method.method);
}
