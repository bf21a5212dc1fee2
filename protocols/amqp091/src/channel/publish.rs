//! From `basic.publish`, header and body frames to a message.
//!
//! Small messages that are whole in the read buffer take the fast path ([`Arrived`]). Large bodies are slices of the read buffer
//! when they come in one frame, and are gathered in one buffer when they come in several.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crossdock_common::command::{Publish as PublishCommand, PublishRun};
use crossdock_common::{Arrived, Command, Message, Name, Run};

use super::{Channel, Mode};
use crate::connection::shared::Context;
use crate::convert::FORMAT;
use crate::convert::facts::{Facts, check_sizes};
use crate::error::{Fault, Interrupt, ReplyCode};
use crate::frame::basic::{PUBLISH, Publish};
use crate::frame::method::BASIC;
use crate::frame::properties::{HEADER_BYTES_MIN, Header, parse_header};
use crate::frame::{self, FRAME_OVERHEAD, Frame, Kind};

/// Where the channel is between a publish and the end of its body.
pub(super) enum Assembly {
    Idle,
    Header(Announced),
    Body(Announced, Gathering),
}

/// What `basic.publish` said.
pub(super) struct Announced {
    pub exchange: Name,
    pub routing_key: Bytes,
    pub mandatory: bool,
}

/// What came of the content so far.
pub(super) struct Gathering {
    properties: Bytes,
    body_size: usize,
    body: BytesMut,
}

/// A message that is whole in the read buffer.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub routing_key: &'a [u8],
    pub properties: &'a [u8],
    pub body: &'a [u8],
}

/// A part of a body.
pub(crate) enum Piece<'a> {
    /// In the read buffer; copied if it is kept.
    Borrowed(&'a [u8]),
    /// Large enough to be kept as it is.
    Owned(Bytes),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Channel {
    /// A method frame is only in order when no content is awaited.
    pub(crate) fn expect_method(&self) -> Result<(), Fault> {
        match self.assembly {
            Assembly::Idle => Ok(()),
            Assembly::Header(_) => Err(no_header()),
            Assembly::Body(..) => {
                Err(Fault::unexpected("expected content body, got non content body frame instead").at(PUBLISH))
            }
        }
    }

    /// Nothing of a message is awaited.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.assembly, Assembly::Idle)
    }

    /// So many messages are not confirmed yet that no more are taken.
    pub(super) fn is_full(&self, cx: &Context<'_>) -> bool {
        matches!(&self.mode, Mode::Confirm(confirms) if confirms.waiting() >= cx.shared.limits.unsettled_max)
    }

    /// `basic.publish`, whose frame's payload is `method`. When its content is whole at the beginning of `rest`, the message is published at once and the
    /// content's bytes on the wire are returned; else 0, and the content is awaited.
    pub(crate) fn publish(
        &mut self,
        cx: &mut Context<'_>,
        publish: Publish<'_>,
        method: &[u8],
        rest: &[u8],
    ) -> Result<usize, Interrupt> {
        if publish.immediate {
            return Err(Fault::not_implemented("immediate=true").into());
        }
        if self.is_full(cx) {
            return Err(Interrupt::Stall);
        }
        let exchange = self.exchange_name(publish.exchange);
        let mandatory = publish.mandatory;
        if let Some((header, body, used)) = self.whole_content(rest, cx.shared.frame_max) {
            check_sizes(header.body_size, header.properties.len(), &cx.shared.limits)?;
            let header_bytes = FRAME_OVERHEAD + HEADER_BYTES_MIN + header.properties.len();
            let facts = Facts::of(header.properties, &cx.shared.publisher(), &cx.shared.limits)?;
            let frame = rest.get(..header_bytes).unwrap_or_default();
            let content = Content { routing_key: publish.routing_key, properties: header.properties, body };
            self.repeat.get_or_insert_default().learn(
                (self.number, method),
                frame,
                (&exchange, publish.routing_key.len(), mandatory),
                &facts,
            );
            return Ok(self.send_whole(cx, &exchange, mandatory, content, facts).map(|()| used)?);
        }
        let routing_key = Bytes::copy_from_slice(publish.routing_key);
        self.assembly = Assembly::Header(Announced { exchange, routing_key, mandatory });
        Ok(0)
    }

    /// A header frame.
    pub(crate) fn content_header(&mut self, cx: &mut Context<'_>, payload: &[u8]) -> Result<(), Fault> {
        let announced = match std::mem::replace(&mut self.assembly, Assembly::Idle) {
            Assembly::Idle => return Err(no_method()),
            Assembly::Header(announced) => announced,
            Assembly::Body(..) => {
                let text = "expected content body, got non content body frame instead";
                return Err(Fault::unexpected(text).at(PUBLISH));
            }
        };
        let header = parse_header(payload).map_err(|malformed| Fault::from(malformed).at(PUBLISH))?;
        check_class(&header)?;
        check_sizes(header.body_size, header.properties.len(), &cx.shared.limits).map_err(|fault| fault.at(PUBLISH))?;
        let properties = Bytes::copy_from_slice(header.properties);
        let body_size = usize::try_from(header.body_size).unwrap_or(usize::MAX);
        if body_size == 0 {
            return self.publish_message(cx, announced, properties, Bytes::new()).map_err(|fault| fault.at(PUBLISH));
        }
        self.assembly = Assembly::Body(announced, Gathering { properties, body_size, body: BytesMut::new() });
        Ok(())
    }

    /// A body frame.
    pub(crate) fn content_body(&mut self, cx: &mut Context<'_>, piece: Piece<'_>) -> Result<(), Fault> {
        let (announced, mut gathering) = match std::mem::replace(&mut self.assembly, Assembly::Idle) {
            Assembly::Idle => return Err(no_method()),
            Assembly::Header(_) => return Err(no_header()),
            Assembly::Body(announced, gathering) => (announced, gathering),
        };
        let body = match gathering.add(piece)? {
            Some(body) => body,
            None => {
                self.assembly = Assembly::Body(announced, gathering);
                return Ok(());
            }
        };
        self.publish_message(cx, announced, gathering.properties, body).map_err(|fault| fault.at(PUBLISH))
    }

    fn exchange_name(&mut self, name: &str) -> Name {
        if *self.last_exchange != *name {
            self.last_exchange = Name::from(name);
        }
        self.last_exchange.clone()
    }

    /// Header and body, if both are whole, in order, and this channel's.
    fn whole_content<'a>(&self, rest: &'a [u8], frame_max: usize) -> Option<(Header<'a>, &'a [u8], usize)> {
        let is_ours = |frame: &Frame<'_>, kind| frame.kind == kind && frame.channel == self.number;
        let head = frame::parse(rest, frame_max).ok()??;
        if !is_ours(&head, Kind::Header) {
            return None;
        }
        let header = parse_header(head.payload).ok()?;
        check_class(&header).ok()?;
        let used = head.encoded_len();
        if header.body_size == 0 {
            return Some((header, &[], used));
        }
        let body = frame::parse(rest.get(used..)?, frame_max).ok()??;
        let is_whole = body.payload.len() as u64 == header.body_size && body.payload.len() < super::SLICE_BYTES_MIN;
        (is_ours(&body, Kind::Body) && is_whole).then(|| (header, body.payload, used + body.encoded_len()))
    }

    fn publish_message(
        &mut self,
        cx: &mut Context<'_>,
        announced: Announced,
        properties: Bytes,
        body: Bytes,
    ) -> Result<(), Fault> {
        let facts = Facts::of(&properties, &cx.shared.publisher(), &cx.shared.limits)?;
        self.send_message(cx, announced, properties, body, facts)
    }

    /// Publishes a message that is whole and whose properties are understood.
    fn send_whole(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Name,
        mandatory: bool,
        content: Content<'_>,
        facts: Facts,
    ) -> Result<(), Fault> {
        if !facts.are_plain() {
            let Content { routing_key, properties, body } = content;
            let copy = Bytes::copy_from_slice;
            let announced = Announced { exchange: exchange.clone(), routing_key: copy(routing_key), mandatory };
            return self.send_message(cx, announced, copy(properties), copy(body), facts);
        }
        let message = arrived(cx, exchange, content, &facts).to_message();
        self.send_publish(cx, message, mandatory)
    }

    /// Publishes messages that are whole, whose properties are understood and plain, and that differ in their bodies only.
    pub(super) fn send_run(&mut self, cx: &mut Context<'_>, run: Run, mandatory: bool) {
        cx.shared.publishes = true;
        let confirm = match &mut self.mode {
            Mode::Confirm(confirms) => Some(confirms.publish_all(run.len())),
            Mode::Plain | Mode::Transaction(_) => None,
        };
        cx.command(Command::PublishRun(Box::new(PublishRun { lane: self.lane(), confirm, run, mandatory })));
    }

    /// Publishes a message whose properties are understood.
    fn send_message(
        &mut self,
        cx: &mut Context<'_>,
        announced: Announced,
        properties: Bytes,
        body: Bytes,
        facts: Facts,
    ) -> Result<(), Fault> {
        let Announced { exchange, routing_key, mandatory } = announced;
        let properties = if facts.wants_replies { self.with_reply_address(&properties)? } else { properties };
        let mut message = facts.message(exchange, routing_key, properties, body);
        message.user = cx.shared.user();
        message.received_at = cx.now.unix;
        self.send_publish(cx, Arc::new(message), mandatory)
    }

    pub(super) fn send_publish(
        &mut self,
        cx: &mut Context<'_>,
        message: Arc<Message>,
        mandatory: bool,
    ) -> Result<(), Fault> {
        cx.shared.publishes = true;
        let lane = self.lane();
        let mut publish = PublishCommand { lane, confirm: None, message, mandatory, retain: false, exactly_once: None };
        match &mut self.mode {
            Mode::Transaction(transaction) => return transaction.publish(publish),
            Mode::Confirm(confirms) => publish.confirm = Some(confirms.publish()),
            Mode::Plain => {}
        }
        cx.command(Command::Publish(publish));
        Ok(())
    }
}

/// A message in the read buffer, whose facts are plain.
pub(super) fn arrived<'a>(cx: &'a Context<'_>, exchange: &'a Name, content: Content<'a>, facts: &Facts) -> Arrived<'a> {
    Arrived {
        format: &FORMAT,
        exchange,
        routing_key: content.routing_key,
        properties: content.properties,
        body: content.body,
        durable: facts.durable,
        priority: facts.priority,
        ttl_ms: facts.ttl_ms,
        user: &cx.shared.principal.name,
        received_at: cx.now.unix,
    }
}

impl Gathering {
    /// Adds a piece; the body, if it is complete. What is reserved grows with what has arrived, never with what is
    /// promised.
    fn add(&mut self, piece: Piece<'_>) -> Result<Option<Bytes>, Fault> {
        let (have, more) = (self.body.len(), piece.bytes().len());
        let missing = self.body_size - have;
        if more > missing {
            let text = format!("content body exceeds its announced size {}", self.body_size);
            return Err(Fault::new(ReplyCode::FrameError, text).at(PUBLISH));
        }
        if have == 0 && more == missing {
            return Ok(Some(piece.into_bytes()));
        }
        if self.body.capacity() - have < more {
            self.body.reserve(missing.min(have.max(more)));
        }
        self.body.extend_from_slice(piece.bytes());
        Ok((more == missing).then(|| std::mem::take(&mut self.body).freeze()))
    }
}

fn check_class(header: &Header<'_>) -> Result<(), Fault> {
    if header.class == BASIC {
        return Ok(());
    }
    let class = header.class;
    Err(Fault::unexpected(format!("expected content header for class 60, got one for class {class} instead"))
        .at(PUBLISH))
}

fn no_method() -> Fault {
    Fault::unexpected("expected method frame, got non method frame instead")
}

fn no_header() -> Fault {
    Fault::unexpected("expected content header for class 60, got non content header frame instead").at(PUBLISH)
}
