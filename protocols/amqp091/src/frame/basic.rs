//! Class 60, `basic`: what clients send. What we send is in [`outgoing`].

pub mod outgoing;

use nom::Parser as _;
use nom::number::complete::{be_u16, be_u32, be_u64};

use super::method::{BASIC, MethodId, arguments};
use super::wire::{Malformed, Parsed, bits, long, short, short_text};

/// `basic.qos-ok`
pub const QOS_OK: MethodId = MethodId::new(BASIC, 11);
/// `basic.publish`
pub const PUBLISH: MethodId = MethodId::new(BASIC, 40);
/// `basic.recover-ok`
pub const RECOVER_OK: MethodId = MethodId::new(BASIC, 111);

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// How many unsettled deliveries it wants.
    Qos { prefetch_size: u32, prefetch_count: u16, global: bool },
    /// Start a consumer.
    Consume(Consume<'a>),
    /// End a consumer.
    Cancel { consumer_tag: &'a str, no_wait: bool },
    /// The answer to our cancel, which needs none.
    CancelOk,
    /// Publish; content follows.
    Publish(Publish<'a>),
    /// Take one message.
    Get { queue: &'a str, no_ack: bool },
    /// Done.
    Ack { delivery_tag: u64, multiple: bool },
    /// Not done.
    Nack { delivery_tag: u64, multiple: bool, requeue: bool },
    /// Not done: `reject`, and all that is unsettled.
    Recover { requeue: bool, answered: bool },
}

/// The arguments of `basic.consume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consume<'a> {
    /// The queue; empty means the last declared one.
    pub queue: &'a str,
    /// The consumer's name; empty asks for one.
    pub consumer_tag: &'a str,
    /// Deliveries count as settled when they are sent.
    pub no_ack: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// No answer is wanted.
    pub no_wait: bool,
    /// The content of the argument table.
    pub arguments: &'a [u8],
}

/// The arguments of `basic.publish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to.
    pub exchange: &'a str,
    /// With which key.
    pub routing_key: &'a [u8],
    /// Give it back if no queue takes it.
    pub mandatory: bool,
    /// Give it back if no consumer is there: not implemented, as in RabbitMQ.
    pub immediate: bool,
}

/// Reads the arguments of a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<Request<'_>>, Malformed> {
    match number {
        40 => arguments(input, publish, Request::Publish),
        80 => arguments(input, tag, |(delivery_tag, bits)| Request::Ack { delivery_tag, multiple: bits.is_set(0) }),
        120 => arguments(input, tag, |(delivery_tag, bits)| Request::Nack {
            delivery_tag,
            multiple: bits.is_set(0),
            requeue: bits.is_set(1),
        }),
        90 => arguments(input, tag, |(delivery_tag, bits)| Request::Nack {
            delivery_tag,
            multiple: false,
            requeue: bits.is_set(0),
        }),
        70 => arguments(
            input,
            |input| (be_u16, short_text, bits).parse(input),
            |(_, queue, bits)| Request::Get { queue, no_ack: bits.is_set(0) },
        ),
        _ => parse_rare(number, input),
    }
}

fn parse_rare(number: u16, input: &[u8]) -> Result<Option<Request<'_>>, Malformed> {
    match number {
        10 => {
            let qos = |input| (be_u32, be_u16, bits).parse(input);
            arguments(input, qos, |(prefetch_size, prefetch_count, bits)| Request::Qos {
                prefetch_size,
                prefetch_count,
                global: bits.is_set(0),
            })
        }
        20 => arguments(input, consume, Request::Consume),
        30 => {
            let cancel = |input| (short_text, bits).parse(input);
            arguments(input, cancel, |(consumer_tag, bits)| Request::Cancel { consumer_tag, no_wait: bits.is_set(0) })
        }
        31 => arguments(input, short, |_| Request::CancelOk),
        100 => arguments(input, bits, |bits| Request::Recover { requeue: bits.is_set(0), answered: false }),
        110 => arguments(input, bits, |bits| Request::Recover { requeue: bits.is_set(0), answered: true }),
        _ => Ok(None),
    }
}

fn tag(input: &[u8]) -> Parsed<'_, (u64, super::wire::Bits)> {
    (be_u64, bits).parse(input)
}

fn publish(input: &[u8]) -> Parsed<'_, Publish<'_>> {
    let (rest, (_, exchange, routing_key, bits)) = (be_u16, short_text, short, bits).parse(input)?;
    Ok((rest, Publish { exchange, routing_key, mandatory: bits.is_set(0), immediate: bits.is_set(1) }))
}

fn consume(input: &[u8]) -> Parsed<'_, Consume<'_>> {
    let (rest, (_, queue, consumer_tag, bits, arguments)) =
        (be_u16, short_text, short_text, bits, long).parse(input)?;
    let consume = Consume {
        queue,
        consumer_tag,
        // The first bit is no-local, which RabbitMQ ignores as well.
        no_ack: bits.is_set(1),
        exclusive: bits.is_set(2),
        no_wait: bits.is_set(3),
        arguments,
    };
    Ok((rest, consume))
}
