//! Class 10, `connection`.

use bytes::BufMut;
use crossdock_common::Table;
use nom::Parser as _;
use nom::number::complete::{be_u16, be_u32};

use super::channel::{close_len, put_close};
use super::method::{CONNECTION, MethodId, Outgoing, arguments};
use super::table;
use super::wire::{Malformed, bits, long, put_long, put_short, short, short_len, short_text};
use crate::error::Fault;

/// `connection.start-ok`
pub const START_OK: MethodId = MethodId::new(CONNECTION, 11);
/// `connection.tune-ok`
pub const TUNE_OK: MethodId = MethodId::new(CONNECTION, 31);
/// `connection.open`
pub const OPEN: MethodId = MethodId::new(CONNECTION, 40);
/// `connection.close-ok`
pub const CLOSE_OK: MethodId = MethodId::new(CONNECTION, 51);
/// `connection.unblocked`
pub const UNBLOCKED: MethodId = MethodId::new(CONNECTION, 61);
/// `connection.update-secret-ok`
pub const UPDATE_SECRET_OK: MethodId = MethodId::new(CONNECTION, 71);

/// What a client sends.
#[derive(Clone, Copy)]
pub enum Request<'a> {
    /// Who it is, and how it proves that.
    StartOk {
        /// The content of the client properties.
        properties: &'a [u8],
        /// The name of the mechanism.
        mechanism: &'a [u8],
        /// The mechanism's response: a secret.
        response: &'a [u8],
    },
    /// An answer to a challenge that we never send.
    SecureOk,
    /// What it makes of our limits.
    TuneOk {
        /// Most channels; 0 is any number.
        channel_max: u16,
        /// Largest frame; 0 is any size.
        frame_max: u32,
        /// In seconds; 0 is none.
        heartbeat: u16,
    },
    /// Enter a vhost.
    Open {
        /// Its name.
        vhost: &'a str,
    },
    /// Goodbye.
    Close,
    /// The answer to our close.
    CloseOk,
    /// A new token.
    UpdateSecret,
}

/// Without the secrets.
impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StartOk { .. } => "StartOk",
            Self::SecureOk => "SecureOk",
            Self::TuneOk { .. } => "TuneOk",
            Self::Open { .. } => "Open",
            Self::Close => "Close",
            Self::CloseOk => "CloseOk",
            Self::UpdateSecret => "UpdateSecret",
        })
    }
}

/// Reads the arguments of a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<Request<'_>>, Malformed> {
    match number {
        11 => {
            let start_ok = |input| (long, short, long, short).parse(input);
            arguments(input, start_ok, |(properties, mechanism, response, _locale)| Request::StartOk {
                properties,
                mechanism,
                response,
            })
        }
        21 => arguments(input, long, |_| Request::SecureOk),
        31 => {
            let tune_ok = |input| (be_u16, be_u32, be_u16).parse(input);
            arguments(input, tune_ok, |(channel_max, frame_max, heartbeat)| Request::TuneOk {
                channel_max,
                frame_max,
                heartbeat,
            })
        }
        40 => {
            let open = |input| (short_text, short, bits).parse(input);
            arguments(input, open, |(vhost, _, _)| Request::Open { vhost })
        }
        50 => arguments(input, |input| (be_u16, short, be_u16, be_u16).parse(input), |_| Request::Close),
        51 => arguments(input, |input| Ok((input, ())), |()| Request::CloseOk),
        70 => arguments(input, |input| (long, short).parse(input), |_| Request::UpdateSecret),
        _ => Ok(None),
    }
}

/// `connection.start`
#[derive(Clone, Debug)]
pub struct Start {
    /// Who we are and what we can.
    pub properties: Table,
    /// Names of mechanisms, separated by spaces.
    pub mechanisms: String,
}

impl Outgoing for Start {
    const ID: MethodId = MethodId::new(CONNECTION, 10);

    fn arguments_len(&self) -> usize {
        2 + table::encoded_len(&self.properties) + 4 + self.mechanisms.len() + 4 + 5
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&[0, 9]);
        table::put(buffer, &self.properties);
        put_long(buffer, self.mechanisms.as_bytes());
        put_long(buffer, b"en_US");
    }
}

/// `connection.tune`
#[derive(Clone, Copy, Debug)]
pub struct Tune {
    /// Most channels.
    pub channel_max: u16,
    /// Largest frame.
    pub frame_max: u32,
    /// In seconds.
    pub heartbeat: u16,
}

impl Outgoing for Tune {
    const ID: MethodId = MethodId::new(CONNECTION, 30);

    fn arguments_len(&self) -> usize {
        8
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        buffer.put_u16(self.channel_max);
        buffer.put_u32(self.frame_max);
        buffer.put_u16(self.heartbeat);
    }
}

/// `connection.open-ok`
#[derive(Clone, Copy, Debug)]
pub struct OpenOk;

impl Outgoing for OpenOk {
    const ID: MethodId = MethodId::new(CONNECTION, 41);

    fn arguments_len(&self) -> usize {
        1
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, b"");
    }
}

/// `connection.close`
#[derive(Clone, Copy, Debug)]
pub struct Close<'a>(pub &'a Fault);

impl Outgoing for Close<'_> {
    const ID: MethodId = MethodId::new(CONNECTION, 50);

    fn arguments_len(&self) -> usize {
        close_len(self.0)
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_close(buffer, self.0);
    }
}

/// `connection.blocked`
#[derive(Clone, Copy, Debug)]
pub struct Blocked<'a> {
    /// Why.
    pub reason: &'a str,
}

impl Outgoing for Blocked<'_> {
    const ID: MethodId = MethodId::new(CONNECTION, 60);

    fn arguments_len(&self) -> usize {
        short_len(self.reason.as_bytes())
    }

    fn put_arguments(&self, buffer: &mut impl BufMut) {
        put_short(buffer, self.reason.as_bytes());
    }
}
