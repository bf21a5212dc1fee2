//! The machine: phases, sizes, deadlines, and how a connection ends.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use crossdock_common::output::Close;
use crossdock_common::{Description, Event, Instant, Machine, Now, Output};

use crate::connecting::Connecting;
use crate::inbound::Frame;
use crate::options::{ConnectionOptions, Origin};
use crate::packet::connack::ConnAck;
use crate::packet::properties::Property;
use crate::packet::{FixedHeader, Kind, Version, connect, disconnect, fixed_header};
use crate::reason::{Fault, Reason};
use crate::requests::bounds;
use crate::session::Session;

/// PUBLISH packets of at least this many bytes get a buffer of their own, so that their payload need not be copied;
/// smaller ones are copied out, so that they do not pin the read buffer.
const SHARE_BYTES_MIN: usize = 16 << 10;
/// What the driver may read ahead from an authenticated client.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// The broker's side of one MQTT connection.
#[derive(Debug)]
pub struct Connection {
    options: Arc<ConnectionOptions>,
    phase: Phase,
    accepted_at: Instant,
    /// Bytes of the packet that has begun, once its length is known and allowed.
    packet_bytes: usize,
    /// Bytes that were left in the input: `receive` is also called when nothing new came, and then nobody was heard.
    left_bytes: usize,
}

#[derive(Debug)]
enum Phase {
    /// Nothing is known of the peer; the first packet must be CONNECT ([MQTT-3.1.0-1]).
    Accepted(Box<Origin>),
    /// CONNECT is read; the core is asked. Further packets wait.
    Connecting(Box<Connecting>),
    /// CONNACK is written.
    Connected(Box<Session>),
    /// Over.
    Closed,
}

impl Connection {
    /// A connection that was accepted just now.
    pub fn new(now: Now, options: impl Into<Arc<ConnectionOptions>>, origin: Origin) -> Self {
        Self {
            options: options.into(),
            phase: Phase::Accepted(Box::new(origin)),
            accepted_at: now.instant,
            packet_bytes: 0,
            left_bytes: 0,
        }
    }

    fn packets(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) -> Result<(), Fault> {
        while output.close.is_none() {
            let Some(header) = self.next_packet(input)? else { return Ok(()) };
            match &mut self.phase {
                Phase::Accepted(origin) => {
                    let origin = std::mem::take(origin);
                    self.connect(now, &origin, &header, input, output)?;
                }
                Phase::Connected(session) => match session.publish_again(now, &header, input, output) {
                    0 => take_packet(session, now, &header, input, output)?,
                    taken => input.advance(taken),
                },
                Phase::Connecting(connecting) => {
                    let packet = input.split_to(header.packet_bytes().min(input.len()));
                    let body = packet.get(header.header_bytes..).unwrap_or_default();
                    if connecting.packet(header.kind, body, &self.options, output)? {
                        output.close(Close::Normal);
                    }
                }
                Phase::Closed => return Ok(()),
            }
        }
        Ok(())
    }

    /// The header of the next packet, if it is whole and may be dealt with now.
    fn next_packet(&mut self, input: &BytesMut) -> Result<Option<FixedHeader>, Fault> {
        self.packet_bytes = 0;
        match &self.phase {
            Phase::Connecting(connecting) if !connecting.awaits_client() => return Ok(None),
            Phase::Closed => return Ok(None),
            // Known from the first byte; nobody has to wait for the rest.
            Phase::Accepted(_) if input.first().is_some_and(|first| *first != Kind::Connect.first_byte()) => {
                return Err(Fault::protocol("the first packet is not CONNECT [MQTT-3.1.0-1]"));
            }
            _ => {}
        }
        let Some(header) = fixed_header(input)? else { return Ok(None) };
        self.check_header(&header)?;
        if input.len() < header.packet_bytes() {
            self.packet_bytes = header.packet_bytes();
            return Ok(None);
        }
        let must_wait = matches!(&self.phase, Phase::Connected(session) if session.must_wait(&header));
        Ok((!must_wait).then_some(header))
    }

    /// A length is checked before a byte of the packet is waited for (MQ-1).
    fn check_header(&self, header: &FixedHeader) -> Result<(), Fault> {
        let (packet_bytes_max, version) = match &self.phase {
            Phase::Connected(session) => (self.options.packet_bytes_max(), Some(session.peer.version)),
            _ => (self.options.limits.first_frame_bytes_max, None),
        };
        if header.packet_bytes() > packet_bytes_max {
            return Err(Fault::new(Reason::PACKET_TOO_LARGE, "packet beyond the maximum packet size [MQTT-3.2.2-15]"));
        }
        match version {
            Some(version) => header.check_flags(version)?,
            None if header.kind.first_byte() & 0x0F != header.flags => {
                return Err(Fault::malformed("reserved flags are wrong [MQTT-2.1.3-1]"));
            }
            None => {}
        }
        if !header.is_minimal && version == Some(Version::V5) {
            return Err(Fault::malformed("remaining length is longer than needed [MQTT-1.5.5-1]"));
        }
        Ok(())
    }

    fn connect(
        &mut self,
        now: Now,
        origin: &Origin,
        header: &FixedHeader,
        input: &mut BytesMut,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let packet = input.split_to(header.packet_bytes().min(input.len()));
        let body = packet.get(header.header_bytes..).unwrap_or_default();
        let version = connect::version(body);
        let packet_bytes_max = connect::packet_bytes_max(body, bounds(&self.options));
        let connecting = connect::decode(body, bounds(&self.options))
            .and_then(|connect| Connecting::new(now, &connect, (&self.options, origin), output));
        match connecting {
            Ok(connecting) => {
                self.phase = Phase::Connecting(Box::new(connecting));
                Ok(())
            }
            Err(fault) => {
                if let Some(version) = version_of_answer(version, body) {
                    put_refusal(version, packet_bytes_max, fault, &self.options, output);
                }
                Err(fault)
            }
        }
    }

    /// The connection ends because of the peer, or because the core says so.
    fn fail(&mut self, fault: Fault, output: &mut Output) {
        if output.close.is_some() {
            return;
        }
        match &self.phase {
            Phase::Connected(session) => put_disconnect(session, fault, output),
            Phase::Connecting(connecting) => {
                put_refusal(connecting.version, connecting.packet_bytes_max(), fault, &self.options, output);
            }
            Phase::Accepted(_) | Phase::Closed => {}
        }
        output.close(close_of(fault));
    }

    fn settle_up(&mut self, output: &mut Output) {
        if let Phase::Connected(session) = &mut self.phase {
            session.flush(output);
        }
        if output.close.is_some() {
            self.phase = Phase::Closed;
        }
    }

    fn handle_event(&mut self, now: Now, event: Event, output: &mut Output) -> Result<(), Fault> {
        match &mut self.phase {
            Phase::Connected(session) => session.handle(now, event, output),
            Phase::Connecting(connecting) => {
                let Some(info) = connecting.handle(event, &self.options, output)? else { return Ok(()) };
                let Phase::Connecting(connecting) = std::mem::replace(&mut self.phase, Phase::Closed) else {
                    return Ok(());
                };
                let session = connecting.connected(now, &info, self.options.clone(), output);
                self.phase = Phase::Connected(Box::new(session));
                Ok(())
            }
            Phase::Accepted(_) | Phase::Closed => Ok(()),
        }
    }
}

impl Machine for Connection {
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        if let Phase::Connected(session) = &mut self.phase
            && input.len() > self.left_bytes
        {
            session.heard(now);
        }
        if let Err(fault) = self.packets(now, input, output) {
            self.fail(fault, output);
        }
        self.left_bytes = input.len();
        self.settle_up(output);
    }

    fn handle(&mut self, now: Now, event: Event, output: &mut Output) {
        if let Err(fault) = self.handle_event(now, event, output) {
            self.fail(fault, output);
        }
        self.settle_up(output);
    }

    fn timeout(&mut self, now: Now, output: &mut Output) {
        if self.deadline().is_none_or(|deadline| deadline > now.instant) {
            return;
        }
        match self.phase {
            Phase::Connected(_) => {
                self.fail(Fault::new(Reason::KEEP_ALIVE_TIMEOUT, "keep alive [MQTT-3.1.2-22]"), output);
            }
            _ => output.close(Close::TimedOut("handshake")),
        }
        self.settle_up(output);
    }

    fn unheard(&mut self, now: Now) {
        if let Phase::Connected(session) = &mut self.phase {
            session.heard(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Accepted(_) | Phase::Connecting(_) => {
                Some(self.accepted_at.after_ms(self.options.limits.handshake_timeout_ms))
            }
            Phase::Connected(session) => session.deadline(),
            Phase::Closed => None,
        }
    }

    fn shutdown(&mut self, _: Now, output: &mut Output) {
        let reason = match self.options.offer.server_reference {
            Some(_) => Reason::USE_ANOTHER_SERVER,
            None => Reason::SERVER_SHUTTING_DOWN,
        };
        self.fail(Fault::new(reason, "the broker shuts down"), output);
        self.settle_up(output);
    }

    fn describe(&self) -> Description {
        match &self.phase {
            Phase::Connected(session) => session.description(),
            _ => Description::default(),
        }
    }

    fn end(&mut self, _: Now, output: &mut Output) {
        self.settle_up(output);
        self.phase = Phase::Closed;
    }

    fn input_bytes_max(&self) -> usize {
        match self.phase {
            Phase::Connected(_) => self.packet_bytes.max(READ_AHEAD_BYTES),
            _ => self.options.limits.first_frame_bytes_max,
        }
    }

    fn is_authenticated(&self) -> bool {
        match &self.phase {
            Phase::Connected(_) => true,
            Phase::Connecting(connecting) => connecting.is_authenticated(),
            Phase::Accepted(_) | Phase::Closed => false,
        }
    }
}

/// Takes one whole packet off the input.
fn take_packet(
    session: &mut Session,
    now: Now,
    header: &FixedHeader,
    input: &mut BytesMut,
    output: &mut Output,
) -> Result<(), Fault> {
    let packet_bytes = header.packet_bytes().min(input.len());
    if header.kind == Kind::Publish && packet_bytes >= SHARE_BYTES_MIN {
        let packet = input.split_to(packet_bytes).freeze();
        let body = packet.get(header.header_bytes..).unwrap_or_default();
        return session.packet(now, header, &Frame { body, shared: Some(&packet) }, output);
    }
    let body = input.get(header.header_bytes..packet_bytes).unwrap_or_default();
    session.packet(now, header, &Frame { body, shared: None }, output)?;
    input.advance(packet_bytes);
    Ok(())
}

/// Whose words a CONNECT is refused in: `None` if it is no CONNECT at all.
fn version_of_answer(version: Result<Version, Fault>, body: &[u8]) -> Option<Version> {
    match version {
        Ok(version) => Some(version),
        Err(fault) if fault.reason == Reason::UNSUPPORTED_VERSION => {
            // `MQTT` with a level beyond 5 is a client that knows version 5.
            let is_newer = matches!(body, [0, 4, b'M', b'Q', b'T', b'T', 6..=0x7F, ..]);
            Some(if is_newer { Version::V5 } else { Version::V311 })
        }
        Err(_) => None,
    }
}

/// A CONNACK that refuses; older versions have return codes for some reasons and close without a word for others.
fn put_refusal(
    version: Version,
    packet_bytes_max: usize,
    fault: Fault,
    options: &ConnectionOptions,
    output: &mut Output,
) {
    if !version.is_v5() && fault.reason.connect_return_code().is_none() {
        return;
    }
    let properties = why(fault, options);
    let whole = ConnAck { session_present: false, reason: fault.reason, properties: &properties };
    // [MQTT-3.2.2-19] of 5
    let short = ConnAck { properties: &[], ..whole };
    let fitting = [whole, short].into_iter().find(|connack| connack.encoded_len(version) <= packet_bytes_max);
    if let Some(connack) = fitting {
        connack.put(output.bytes.buffer(), version);
    }
}

/// DISCONNECT, which only version 5 servers send; with the reason in words if the client takes packets of that size.
fn put_disconnect(session: &Session, fault: Fault, output: &mut Output) {
    if !session.peer.version.is_v5() {
        return;
    }
    let properties = why(fault, &session.peer.options);
    let fits = disconnect::encoded_len(&properties) <= session.peer.packet_bytes_max;
    disconnect::put(output.bytes.buffer(), fault.reason, if fits { &properties } else { &[] });
}

fn why(fault: Fault, options: &ConnectionOptions) -> Vec<Property<'_>> {
    let reference = options.offer.server_reference.as_deref().filter(|_| fault.reason == Reason::USE_ANOTHER_SERVER);
    let mut properties = vec![Property::ReasonString(fault.rule)];
    properties.extend(reference.map(Property::ServerReference));
    properties
}

fn close_of(fault: Fault) -> Close {
    match fault.reason {
        Reason::KEEP_ALIVE_TIMEOUT => Close::TimedOut(fault.rule),
        Reason::SERVER_SHUTTING_DOWN | Reason::USE_ANOTHER_SERVER => Close::Shutdown,
        Reason::SESSION_TAKEN_OVER => Close::TakenOver,
        Reason::NOT_AUTHORIZED
        | Reason::BAD_USER_NAME_OR_PASSWORD
        | Reason::BAD_AUTHENTICATION_METHOD
        | Reason::SERVER_UNAVAILABLE
        | Reason::QUOTA_EXCEEDED
        | Reason::ADMINISTRATIVE_ACTION => Close::Refused(fault.to_string()),
        _ => Close::Violation { rule: fault.rule, detail: format!("reason 0x{:02X}", fault.reason.0) },
    }
}
