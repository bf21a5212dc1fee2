//! Publishers say the same again and again: SEND frames that are like the last one to the byte, but for their bodies, are a run.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use crossdock_common::command::PublishRun;
use crossdock_common::message::RUN_BODY_BYTES_MAX;
use crossdock_common::{Arrived, Command, Lane, Message, Name, Now, Output, Run};

use super::Session;
use crate::convert::FORMAT;
use crate::frame::Frame;

/// Longest head of a frame that is remembered.
const HEAD_BYTES_MAX: usize = 512;
/// So many frames that differ in their bodies only are a run; fewer are read one by one.
const RUN_MIN: usize = 4;
/// Headers whose meaning is another for each message.
const NOT_AGAIN: [&str; 4] = ["transaction", "receipt", "expires", "reply-to"];

/// What the last SEND said, as it was on the wire and as it was understood.
pub(super) struct Repeat {
    /// Command and header lines with the empty line.
    head: Bytes,
    /// Of the body, if `content-length` says it.
    length: Option<usize>,
    exchange: Name,
    routing_key: Bytes,
    properties: Bytes,
    priority: u8,
    ttl_ms: Option<u64>,
    mandatory: bool,
}

impl Repeat {
    /// Where in `input` the bodies of the frames are that are like this one, and where the last of them ends.
    fn find(&self, input: &[u8]) -> (Vec<Range<usize>>, usize) {
        let (mut bodies, mut end) = (Vec::new(), 0);
        while let Some(body) = self.body(input, end) {
            end = body.end + 1;
            bodies.push(body);
        }
        (bodies, end)
    }

    /// The body of the frame that begins at `at`, or after line ends there.
    fn body(&self, input: &[u8], at: usize) -> Option<Range<usize>> {
        let rest = input.get(at..)?;
        let line_ends = rest.iter().take_while(|byte| **byte == b'\n').count();
        let start = at + line_ends + self.head.len();
        if rest.get(line_ends..line_ends + self.head.len())? != &self.head[..] {
            return None;
        }
        let body = input.get(start..)?;
        let length = match self.length {
            Some(length) => body.get(length).filter(|end| **end == 0).map(|_| length)?,
            None => memchr::memchr(0, body.get(..body.len().min(RUN_BODY_BYTES_MAX + 1))?)?,
        };
        Some(start..start + length)
    }
}

impl Session {
    /// Remembers a SEND that others may follow which are the same but for the body.
    pub(super) fn learn(&mut self, frame: &Frame, message: &Message, to_queue: bool) {
        let is_plain = !message.durable && message.rare.is_none() && frame.body.len() <= RUN_BODY_BYTES_MAX;
        if !is_plain || frame.head.len() > HEAD_BYTES_MAX || self.knows(frame) {
            return;
        }
        if NOT_AGAIN.into_iter().any(|name| frame.headers.get(name).is_some()) {
            return;
        }
        let length = frame.headers.get("content-length").map(|_| frame.body.len());
        self.repeat = Some(Box::new(Repeat {
            head: Bytes::copy_from_slice(&frame.head),
            length,
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            properties: message.properties.clone(),
            priority: message.priority,
            ttl_ms: message.ttl_ms,
            mandatory: self.is_mandatory(message, to_queue),
        }));
    }

    fn knows(&self, frame: &Frame) -> bool {
        self.repeat.as_ref().is_some_and(|repeat| repeat.head == frame.head)
    }

    /// Takes the frames from the input that are like the last one, if they are enough for a run.
    pub(crate) fn send_again(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) -> bool {
        let Some(repeat) = &self.repeat else { return false };
        let (bodies, end) = repeat.find(input);
        if bodies.len() < RUN_MIN {
            return false;
        }
        let arrived = Arrived {
            format: &FORMAT,
            exchange: &repeat.exchange,
            routing_key: &repeat.routing_key,
            properties: &repeat.properties,
            body: &[],
            durable: false,
            priority: repeat.priority,
            ttl_ms: repeat.ttl_ms,
            user: &self.peer.user,
            received_at: now.unix,
        };
        let run = Run::new(&arrived, bodies.iter().map(|body| input.get(body.clone()).unwrap_or_default()));
        let publish = PublishRun { lane: Lane::default(), confirm: None, run, mandatory: repeat.mandatory };
        output.commands.push(Command::PublishRun(Box::new(publish)));
        input.advance(end);
        true
    }
}
