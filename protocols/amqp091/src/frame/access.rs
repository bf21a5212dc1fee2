//! Class 30, `access`: gone since AMQP 0-9-1, but old clients still ask. Every request is granted ticket 1.

use bytes::BufMut;

use super::method::{ACCESS, MethodId, Outgoing};
use super::wire::{Malformed, bits, short, whole};

/// Reads the arguments of a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<()>, Malformed> {
    match number {
        10 => whole(input, |input| {
            let (input, _realm) = short(input)?;
            let (input, _bits) = bits(input)?;
            Ok((input, Some(())))
        }),
        _ => Ok(None),
    }
}

/// `access.request-ok`
#[derive(Clone, Copy, Debug)]
pub struct RequestOk;

impl Outgoing for RequestOk {
    const ID: MethodId = MethodId::new(ACCESS, 11);

    fn arguments_len(&self) -> usize {
        2
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u16(1);
    }
}
