//! Publishers say the same again and again: SEND frames that are like the last one to the byte, but for their bodies and receipts, are
//! not read again. Many of them together are a run, unless they are to be written to disk one by one.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use crossdock_common::command::{Publish, PublishRun};
use crossdock_common::message::RUN_BODY_BYTES_MAX;
use crossdock_common::{Arrived, Command, Lane, Message, Name, Now, Output, Run, Text};

use super::Session;
use crate::convert::FORMAT;
use crate::frame::Frame;

/// Longest head of a frame that is remembered.
const HEAD_BYTES_MAX: usize = 512;
/// So many frames are a run; fewer are passed on one by one.
const RUN_MIN: usize = 4;
/// Headers whose meaning is another for each message.
const NOT_AGAIN: [&str; 3] = ["transaction", "expires", "reply-to"];
/// The header whose value may differ.
const RECEIPT: &[u8] = b"\nreceipt:";

/// What the last SEND said, as it was on the wire and as it was understood.
pub(super) struct Repeat {
    /// Command and header lines up to the receipt, or with the empty line.
    head: Bytes,
    /// What follows the receipt, if there is one.
    after_receipt: Option<Bytes>,
    /// Of the body, if `content-length` says it.
    length: Option<usize>,
    exchange: Name,
    routing_key: Bytes,
    properties: Bytes,
    durable: bool,
    priority: u8,
    ttl_ms: Option<u64>,
    to_queue: bool,
    mandatory: bool,
}

/// Where the parts of a frame are that differ.
struct Again {
    receipt: Range<usize>,
    body: Range<usize>,
}

impl Repeat {
    /// The frames at the beginning of `input` that are like this one, up to so many, with bodies of up to so many bytes.
    fn find(&self, input: &[u8], count_max: usize, body_bytes_max: usize) -> Vec<Again> {
        let (mut found, mut at) = (Vec::new(), 0);
        while found.len() < count_max
            && let Some(again) = self.again(input, at, body_bytes_max)
        {
            at = again.body.end + 1;
            found.push(again);
        }
        found
    }

    /// The frame that begins at `at`, or after line ends there.
    #[inline]
    fn again(&self, input: &[u8], at: usize, body_bytes_max: usize) -> Option<Again> {
        let line_ends = input.get(at..)?.iter().take_while(|byte| **byte == b'\n').count();
        let mut end = after(input, at + line_ends, &self.head)?;
        let receipt_at = end;
        if self.after_receipt.is_some() {
            end += input.get(end..)?.iter().take(HEAD_BYTES_MAX).take_while(|byte| is_plain(**byte)).count();
        }
        let receipt = receipt_at..end;
        if let Some(after_receipt) = &self.after_receipt {
            end = after(input, end, after_receipt)?;
        }
        let body = input.get(end..)?;
        let length = match self.length {
            Some(length) => body.get(length).filter(|end| **end == 0).map(|_| length)?,
            None => memchr::memchr(0, body.get(..body.len().min(body_bytes_max + 1))?)?,
        };
        Some(Again { receipt, body: end..end + length })
    }

    fn arrived<'a>(&'a self, user: &'a Name, now: Now, body: &'a [u8]) -> Arrived<'a> {
        Arrived {
            format: &FORMAT,
            exchange: &self.exchange,
            routing_key: &self.routing_key,
            properties: &self.properties,
            body,
            durable: self.durable,
            priority: self.priority,
            ttl_ms: self.ttl_ms,
            user,
            received_at: now.unix,
        }
    }
}

/// A byte of a receipt that means itself in every version.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\'
}

/// The place behind `wanted`, if that is there.
fn after(input: &[u8], at: usize, wanted: &[u8]) -> Option<usize> {
    let end = at + wanted.len();
    (input.get(at..end)? == wanted).then_some(end)
}

/// The head without its receipt's value. `None` if that would not be read as it is written.
fn split(frame: &Frame) -> Option<(Bytes, Option<Bytes>)> {
    let head = &frame.head;
    if head.contains(&b'\r') {
        return None;
    }
    let Some(receipt) = frame.headers.get("receipt") else { return Some((Bytes::copy_from_slice(head), None)) };
    let start = memchr::memmem::find(head, RECEIPT)? + RECEIPT.len();
    let end = start + memchr::memchr(b'\n', head.get(start..)?)?;
    let is_plain = head.get(start..end)? == receipt.as_bytes() && memchr::memmem::find(&head[end..], RECEIPT).is_none();
    is_plain.then(|| (Bytes::copy_from_slice(&head[..start]), Some(Bytes::copy_from_slice(&head[end..]))))
}

impl Session {
    /// Remembers a SEND that others may follow which are the same but for receipt and body.
    pub(super) fn learn(&mut self, frame: &Frame, message: &Message, to_queue: bool) {
        self.repeat = None;
        let is_small = frame.body.len() <= RUN_BODY_BYTES_MAX && frame.head.len() <= HEAD_BYTES_MAX;
        if !is_small || message.rare.is_some() || NOT_AGAIN.into_iter().any(|name| frame.headers.get(name).is_some()) {
            return;
        }
        let Some((head, after_receipt)) = split(frame) else { return };
        self.repeat = Some(Box::new(Repeat {
            head,
            after_receipt,
            length: frame.headers.get("content-length").map(|_| frame.body.len()),
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            properties: message.properties.clone(),
            durable: message.durable,
            priority: message.priority,
            ttl_ms: message.ttl_ms,
            to_queue,
            mandatory: self.is_mandatory(message, to_queue),
        }));
    }

    /// Takes the frames from the input that are like the last one; false if there are none.
    pub(crate) fn send_again(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) -> bool {
        let Some(repeat) = self.repeat.take() else { return false };
        let room = match repeat.after_receipt {
            Some(_) => self.limits().unsettled_max.saturating_sub(self.requests.open()),
            None => usize::MAX,
        };
        let found = repeat.find(input, room, self.limits().message_bytes_max.min(RUN_BODY_BYTES_MAX));
        if let Some(last) = found.last() {
            let first_confirm = self.expect_receipts(&repeat, &found, input);
            if repeat.durable || found.len() < RUN_MIN {
                self.send_singly(now, &repeat, &found, first_confirm, input, output);
            } else {
                let bodies = found.iter().map(|again| input.get(again.body.clone()).unwrap_or_default());
                let run = Run::new(&repeat.arrived(&self.peer.user, now, &[]), bodies);
                let publish =
                    PublishRun { lane: Lane::default(), confirm: first_confirm, run, mandatory: repeat.mandatory };
                output.commands.push(Command::PublishRun(Box::new(publish)));
            }
            input.advance(last.body.end + 1);
        }
        self.repeat = Some(repeat);
        !found.is_empty()
    }

    /// Gives the number of the first confirm, if the frames ask for receipts.
    fn expect_receipts(&mut self, repeat: &Repeat, found: &[Again], input: &[u8]) -> Option<u64> {
        repeat.after_receipt.as_ref()?;
        let mut first = None;
        for again in found {
            let receipt = input.get(again.receipt.clone()).unwrap_or_default();
            let text = Text::from(String::from_utf8_lossy(receipt).as_ref());
            let number = self.requests.confirm_whole(text, repeat.to_queue);
            first.get_or_insert(number);
        }
        first
    }

    fn send_singly(
        &self,
        now: Now,
        repeat: &Repeat,
        found: &[Again],
        first_confirm: Option<u64>,
        input: &[u8],
        output: &mut Output,
    ) {
        for (index, again) in (0..).zip(found) {
            let body = input.get(again.body.clone()).unwrap_or_default();
            output.commands.push(Command::Publish(Publish {
                lane: Lane::default(),
                confirm: first_confirm.map(|first| first + index),
                message: repeat.arrived(&self.peer.user, now, body).to_message(),
                mandatory: repeat.mandatory,
                retain: false,
                exactly_once: None,
            }));
        }
    }
}
