//! Class 40, `exchange`.

use nom::Parser as _;
use nom::number::complete::be_u16;

use super::method::{EXCHANGE, MethodId, arguments};
use super::wire::{Malformed, Parsed, bits, long, short, short_text};

/// `exchange.declare-ok`
pub const DECLARE_OK: MethodId = MethodId::new(EXCHANGE, 11);
/// `exchange.delete-ok`
pub const DELETE_OK: MethodId = MethodId::new(EXCHANGE, 21);
/// `exchange.bind-ok`
pub const BIND_OK: MethodId = MethodId::new(EXCHANGE, 31);
/// `exchange.unbind-ok`
pub const UNBIND_OK: MethodId = MethodId::new(EXCHANGE, 51);

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Make an exchange, or ask for it.
    Declare(Declare<'a>),
    /// Remove one.
    Delete { exchange: &'a str, if_unused: bool, no_wait: bool },
    /// Bind one to another.
    Bind(Binding<'a>),
    /// Undo that.
    Unbind(Binding<'a>),
}

/// The arguments of `exchange.declare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declare<'a> {
    /// Its name.
    pub exchange: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// No answer is wanted.
    pub no_wait: bool,
    /// The content of the argument table.
    pub arguments: &'a [u8],
}

/// The arguments of `exchange.bind` and `exchange.unbind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// Where messages go.
    pub destination: &'a str,
    /// Where they come from.
    pub source: &'a str,
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
        20 => {
            let delete = |input| (be_u16, short_text, bits).parse(input);
            arguments(input, delete, |(_, exchange, bits)| Request::Delete {
                exchange,
                if_unused: bits.is_set(0),
                no_wait: bits.is_set(1),
            })
        }
        30 => arguments(input, binding, Request::Bind),
        40 => arguments(input, binding, Request::Unbind),
        _ => Ok(None),
    }
}

fn declare(input: &[u8]) -> Parsed<'_, Declare<'_>> {
    let (rest, (_, exchange, kind, bits, arguments)) = (be_u16, short_text, short_text, bits, long).parse(input)?;
    let declare = Declare {
        exchange,
        kind,
        passive: bits.is_set(0),
        durable: bits.is_set(1),
        auto_delete: bits.is_set(2),
        internal: bits.is_set(3),
        no_wait: bits.is_set(4),
        arguments,
    };
    Ok((rest, declare))
}

fn binding(input: &[u8]) -> Parsed<'_, Binding<'_>> {
    let (rest, (_, destination, source, routing_key, bits, arguments)) =
        (be_u16, short_text, short_text, short, bits, long).parse(input)?;
    Ok((rest, Binding { destination, source, routing_key, no_wait: bits.is_set(0), arguments }))
}
