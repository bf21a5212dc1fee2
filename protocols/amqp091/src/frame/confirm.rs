//! Class 85, `confirm`: RabbitMQ's publisher confirms.

use super::method::{CONFIRM, MethodId, arguments};
use super::wire::{Malformed, bits};

/// `confirm.select`
pub const SELECT: MethodId = MethodId::new(CONFIRM, 10);
/// `confirm.select-ok`
pub const SELECT_OK: MethodId = MethodId::new(CONFIRM, 11);

/// The arguments of `confirm.select`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Select {
    /// No answer is wanted.
    pub no_wait: bool,
}

/// Reads the arguments of a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<Select>, Malformed> {
    match number {
        10 => arguments(input, bits, |bits| Select { no_wait: bits.is_set(0) }),
        _ => Ok(None),
    }
}
