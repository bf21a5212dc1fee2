//! The machine: phases of a connection, and what both sides say on channel 0. See `LIFECYCLE.md`.

mod describe;
mod handshake;
pub(crate) mod requests;
mod session;
pub(crate) mod shared;
mod timers;

use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use crossdock_common::event::{Principal, Reply};
use crossdock_common::lane_quota::LaneShare;
use crossdock_common::output::Close;
use crossdock_common::random::Random;
use crossdock_common::{Command, Description, Event, Instant, Machine, Name, Now, Output, Refusal, RequestId};

use crate::channel::SLICE_BYTES_MIN;
use crate::error::{Fault, Interrupt, ReplyCode};
use crate::frame::connection::{self as wire, Request};
use crate::frame::method::{self, Method, put_empty, put_method};
use crate::frame::{self, FRAME_OVERHEAD, Frame, HEAD_BYTES, HEARTBEAT_FRAME, Kind, PROTOCOL_HEADER};
use crate::options::{ConnectionOptions, Mechanism};
use handshake::{Agreed, Capabilities};
use requests::Requests;
use session::Session;
use shared::{Consumers, Secrets, Shared};
use timers::{Due, Timers};

/// The driver may hold at least so many undecoded bytes of an authenticated client, however small its frames: one read
/// decodes many frames.
const INPUT_BYTES_MIN: usize = 64 << 10;

/// The broker's end of one AMQP 0-9-1 connection.
pub struct Connection {
    options: ConnectionOptions,
    phase: Phase,
    timers: Timers,
    capabilities: Capabilities,
    agreed: Agreed,
    requests: Requests,
    alarm: Alarm,
    /// What the connection uses of its user's channels, until its session has it.
    lane_share: LaneShare,
    /// Who the client is, once that is known.
    client: Option<Box<describe::Client>>,
    /// Undecoded bytes that the last call left: more than these are news from the peer.
    left_bytes: usize,
}

/// What is expected next.
enum Phase {
    /// The protocol header.
    ProtocolHeader,
    /// `connection.start-ok`.
    StartOk,
    /// The core's answer; nothing is decoded.
    Authenticating { request: RequestId, mechanism: Mechanism },
    /// `connection.tune-ok`.
    TuneOk { principal: Principal },
    /// `connection.open`.
    Open { principal: Principal },
    /// The core's answer; nothing is decoded.
    Opening { request: RequestId, principal: Principal },
    /// Anything.
    Running(Box<Session>),
    /// The client said goodbye, and the core takes back what it held; nothing is decoded.
    Leaving { request: RequestId, session: Box<Session> },
    /// `connection.close-ok`; everything else is discarded.
    Closing { close: Close },
    /// Nothing.
    Closed,
}

impl Phase {
    /// RabbitMQ's word for it.
    fn word(&self) -> &'static str {
        match self {
            Self::ProtocolHeader => "pre_init",
            Self::StartOk | Self::Authenticating { .. } => "starting",
            Self::TuneOk { .. } => "tuning",
            Self::Open { .. } | Self::Opening { .. } => "opening",
            Self::Running(_) => "running",
            Self::Leaving { .. } | Self::Closing { .. } => "closing",
            Self::Closed => "closed",
        }
    }

    fn waits_for_core(&self) -> bool {
        matches!(self, Self::Authenticating { .. } | Self::Opening { .. } | Self::Leaving { .. })
    }
}

/// Whether publishers have to stop, and whether this one knows.
#[derive(Default)]
struct Alarm {
    reason: Option<&'static str>,
    is_told: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(now: Now, options: ConnectionOptions) -> Self {
        let agreed = Agreed { channel_max: 0, frame_max: options.limits.first_frame_bytes_max, heartbeat_seconds: 0 };
        Self {
            phase: Phase::ProtocolHeader,
            timers: Timers::new(now.instant, &options.limits),
            capabilities: Capabilities::default(),
            agreed,
            requests: Requests::default(),
            alarm: Alarm::default(),
            lane_share: LaneShare::default(),
            client: None,
            left_bytes: 0,
            options,
        }
    }

    /// Compares what is there of the protocol header; a wrong one is answered with ours.
    fn protocol_header(&mut self, input: &mut BytesMut, output: &mut Output) {
        let length = input.len().min(PROTOCOL_HEADER.len());
        let (begun, expected) = (input.get(..length), PROTOCOL_HEADER.get(..length));
        if begun != expected {
            output.bytes.buffer().put_slice(&PROTOCOL_HEADER);
            let detail = format!("expected AMQP 0-9-1, got {}", begun.unwrap_or_default().escape_ascii());
            return self.close_now(Close::Violation { rule: "PROTOCOL_HEADER", detail }, output);
        }
        if length == PROTOCOL_HEADER.len() {
            input.advance(length);
            put_method(output.bytes.buffer(), 0, &handshake::start(&self.options));
            self.phase = Phase::StartOk;
        }
    }

    fn frames(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        let mut at = 0;
        while !self.phase.waits_for_core() && !matches!(self.phase, Phase::Closed) {
            let bytes = input.get(at..).unwrap_or_default();
            let frame = match frame::parse(bytes, self.agreed.frame_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return self.fail_for_good(&error.into(), output),
            };
            let length = frame.encoded_len();
            if frame.kind == Kind::Body && frame.payload.len() >= SLICE_BYTES_MIN && self.is_running() {
                let channel = frame.channel;
                if self.is_stalled(channel) {
                    break;
                }
                input.advance(std::mem::take(&mut at));
                let body = input.split_to(length).freeze().slice(HEAD_BYTES..length - (FRAME_OVERHEAD - HEAD_BYTES));
                let result = self.large_body(now, channel, body, output);
                self.settle_frame(now, result.map(|()| 0), output);
                continue;
            }
            let rest = bytes.get(length..).unwrap_or_default();
            let result = self.frame(now, &frame, rest, output);
            match self.settle_frame(now, result, output) {
                Some(used) => at += length + used,
                None => break,
            }
        }
        input.advance(at);
    }

    /// Tells the peer of an error. `None` if the frame has to wait.
    fn settle_frame(&mut self, now: Now, result: Result<usize, Interrupt>, output: &mut Output) -> Option<usize> {
        match result {
            Ok(used) => Some(used),
            Err(Interrupt::Stall) => None,
            Err(Interrupt::Fault(fault)) => {
                self.fail(now, &fault, output);
                Some(0)
            }
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    fn is_stalled(&self, channel: u16) -> bool {
        matches!(&self.phase, Phase::Running(session) if session.is_stalled(channel))
    }

    fn large_body(&mut self, now: Now, channel: u16, body: bytes::Bytes, output: &mut Output) -> Result<(), Interrupt> {
        match &mut self.phase {
            Phase::Running(session) if channel != 0 => session.large_body(now, channel, body, output),
            phase => Err(misplaced(Kind::Body, channel, phase.word()).into()),
        }
    }

    fn frame(&mut self, now: Now, frame: &Frame<'_>, rest: &[u8], output: &mut Output) -> Result<usize, Interrupt> {
        match (&mut self.phase, frame.channel) {
            (Phase::Running(session), 1..) => return session.frame(now, frame, rest, output),
            (Phase::Closing { .. }, 1..) => return Ok(0),
            (phase, 1..) => return Err(misplaced(frame.kind, frame.channel, phase.word()).into()),
            (_, 0) => {}
        }
        match frame.kind {
            Kind::Method => self.channel_zero(now, frame.payload, output)?,
            Kind::Heartbeat => {}
            _ if matches!(self.phase, Phase::Closing { .. }) => {}
            kind => return Err(misplaced(kind, 0, self.phase.word()).into()),
        }
        Ok(0)
    }

    fn channel_zero(&mut self, now: Now, payload: &[u8], output: &mut Output) -> Result<(), Fault> {
        let (id, arguments) = method::split(payload)?;
        if matches!(self.phase, Phase::Closing { .. }) && id.class != method::CONNECTION {
            return Ok(());
        }
        let Method::Connection(request) = method::parse(id, arguments)? else { return Err(self.out_of_turn().at(id)) };
        self.request(now, request, output).map_err(|fault| fault.at(id))
    }

    fn request(&mut self, now: Now, request: Request<'_>, output: &mut Output) -> Result<(), Fault> {
        match (&mut self.phase, request) {
            (Phase::Closing { close }, Request::CloseOk) => {
                let close = close.clone();
                self.close_now(close, output);
            }
            (Phase::Closing { .. }, Request::Close) => put_empty(output.bytes.buffer(), 0, wire::CLOSE_OK),
            (Phase::Closing { .. }, _) => {}
            (Phase::StartOk, Request::StartOk { properties, mechanism, response }) => {
                self.start_ok(properties, mechanism, response, output)?;
            }
            (Phase::TuneOk { principal }, Request::TuneOk { channel_max, frame_max, heartbeat }) => {
                let principal = principal.clone();
                let ours = handshake::tune(&self.options.limits);
                self.agreed = handshake::agree(ours, channel_max, frame_max, heartbeat)?;
                self.timers.set_heartbeat(self.agreed.heartbeat_seconds);
                self.phase = Phase::Open { principal };
            }
            (Phase::Open { principal }, Request::Open { vhost }) => {
                let (principal, vhost) = (principal.clone(), Name::from(vhost));
                let request = self.requests.number();
                output.commands.push(Command::Open { request, vhost });
                self.phase = Phase::Opening { request, principal };
            }
            (Phase::Running(_), Request::Close) => self.leave(now, output),
            (Phase::TuneOk { .. } | Phase::Open { .. } | Phase::StartOk, Request::Close) => self.goodbye(output),
            (Phase::Running(_), Request::UpdateSecret) => {
                put_empty(output.bytes.buffer(), 0, wire::UPDATE_SECRET_OK);
            }
            _ => return Err(self.out_of_turn()),
        }
        Ok(())
    }

    fn leave(&mut self, now: Now, output: &mut Output) {
        let Phase::Running(mut session) = std::mem::replace(&mut self.phase, Phase::Closed) else { return };
        let request = session.leave(now, output);
        self.timers.begin_closing(now.instant);
        self.phase = Phase::Leaving { request, session };
    }

    fn out_of_turn(&self) -> Fault {
        let text = format!("unexpected method in connection state {}", self.phase.word());
        Fault::new(ReplyCode::ChannelError, text)
    }

    fn start_ok(
        &mut self,
        properties: &[u8],
        mechanism: &[u8],
        response: &[u8],
        output: &mut Output,
    ) -> Result<(), Fault> {
        self.capabilities = Capabilities::of(properties, &self.options.limits)?;
        let mechanism = handshake::mechanism(&self.options, mechanism)?;
        let credentials = handshake::credentials(mechanism, response, &self.options.limits)?;
        let request = self.requests.number();
        self.client = Some(Box::new(describe::Client::new(properties, mechanism)));
        output.commands.push(Command::Authenticate { request, credentials });
        self.phase = Phase::Authenticating { request, mechanism };
        Ok(())
    }

    fn authenticated(
        &mut self,
        now: Now,
        mechanism: Mechanism,
        result: Result<Principal, Refusal>,
        output: &mut Output,
    ) {
        match result {
            Ok(principal) => {
                put_method(output.bytes.buffer(), 0, &handshake::tune(&self.options.limits));
                self.phase = Phase::TuneOk { principal };
            }
            Err(refusal) => {
                let close = Close::Refused(format!("{}: {refusal}", mechanism.name()));
                if !self.capabilities.authentication_failure_close {
                    return self.close_now(close, output);
                }
                self.fail_as(now, &handshake::login_refused(mechanism), close, output);
            }
        }
    }

    fn opened(&mut self, now: Now, principal: Principal, result: Result<Reply, Refusal>, output: &mut Output) {
        if let Err(refusal) = result {
            let close = Close::Refused(refusal.to_string());
            // Whatever the reason, the vhost cannot be entered: no channel is there that a soft code could close.
            let fault = Fault { code: ReplyCode::NotAllowed, ..Fault::from(refusal) };
            return self.fail_as(now, &fault.at(wire::OPEN), close, output);
        }
        put_method(output.bytes.buffer(), 0, &wire::OpenOk);
        self.timers.end_handshake();
        let mut random = Random::from_seed(self.options.seed);
        let secrets = Secrets::new(&mut random);
        let shared = Shared {
            limits: Arc::clone(&self.options.limits),
            is_impersonator: principal.tags.iter().any(|tag| tag.as_str() == "impersonator"),
            principal,
            capabilities: self.capabilities,
            frame_max: self.agreed.frame_max,
            requests: std::mem::take(&mut self.requests),
            consumers: Consumers::default(),
            unsettled: 0,
            confirm_floor: 0,
            random,
            secrets,
            check_at: None,
            publishes: false,
            lane_share: std::mem::take(&mut self.lane_share),
        };
        self.phase = Phase::Running(Box::new(Session::new(shared, self.agreed.channel_max)));
    }

    fn check_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Running(session) => session.shared.check_at,
            _ => None,
        }
    }

    /// Tells publishers that know the word to stop or to go on.
    fn tell_alarm(&mut self, output: &mut Output) {
        let Phase::Running(session) = &self.phase else { return };
        if !session.shared.publishes || !self.capabilities.connection_blocked {
            return;
        }
        match self.alarm {
            Alarm { reason: Some(reason), is_told: false } => {
                put_method(output.bytes.buffer(), 0, &wire::Blocked { reason });
                self.alarm.is_told = true;
            }
            Alarm { reason: None, is_told: true } => {
                put_empty(output.bytes.buffer(), 0, wire::UNBLOCKED);
                self.alarm.is_told = false;
            }
            _ => {}
        }
    }

    /// The client's close is answered.
    fn goodbye(&mut self, output: &mut Output) {
        put_empty(output.bytes.buffer(), 0, wire::CLOSE_OK);
        self.close_now(Close::Normal, output);
    }

    fn close_now(&mut self, close: Close, output: &mut Output) {
        output.close(close);
        self.phase = Phase::Closed;
    }

    /// The peer broke a rule: tell it and wait for its answer.
    fn fail(&mut self, now: Now, fault: &Fault, output: &mut Output) {
        self.fail_as(now, fault, violation(fault), output);
    }

    fn fail_as(&mut self, now: Now, fault: &Fault, close: Close, output: &mut Output) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
            return;
        }
        put_method(output.bytes.buffer(), 0, &wire::Close(fault));
        self.timers.begin_closing(now.instant);
        self.phase = Phase::Closing { close };
    }

    /// The peer's frames cannot be read any more: tell it, and don't wait.
    fn fail_for_good(&mut self, fault: &Fault, output: &mut Output) {
        let close = match &self.phase {
            Phase::Closing { close } => close.clone(),
            _ => {
                put_method(output.bytes.buffer(), 0, &wire::Close(fault));
                violation(fault)
            }
        };
        self.close_now(close, output);
    }
}

fn violation(fault: &Fault) -> Close {
    Close::Violation { rule: fault.code.word(), detail: fault.text.clone() }
}

fn misplaced(kind: Kind, channel: u16, state: &str) -> Fault {
    Fault::unexpected(format!("unexpected {} frame on channel {channel} in connection state {state}", kind.word()))
}

impl Machine for Connection {
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        let written = output.bytes.len();
        if input.len() > self.left_bytes {
            self.timers.note_received(now.instant);
        }
        if matches!(self.phase, Phase::ProtocolHeader) {
            self.protocol_header(input, output);
        }
        if !matches!(self.phase, Phase::ProtocolHeader) {
            self.frames(now, input, output);
        }
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Closed) {
            input.clear();
        }
        self.tell_alarm(output);
        self.left_bytes = input.len();
        if output.bytes.len() != written {
            self.timers.note_sent(now.instant);
        }
    }

    fn handle(&mut self, now: Now, event: Event, output: &mut Output) {
        let written = output.bytes.len();
        match (&mut self.phase, event) {
            (_, Event::Blocked { reason }) => self.alarm.reason = Some(reason),
            (_, Event::Unblocked) => self.alarm.reason = None,
            (Phase::ProtocolHeader, Event::Forced { .. }) => self.close_now(Close::Shutdown, output),
            (_, Event::Forced { reason }) => {
                let fault = Fault::new(ReplyCode::ConnectionForced, reason.as_str());
                self.fail_as(now, &fault, Close::Shutdown, output);
            }
            (_, Event::LaneQuota(quota)) => self.lane_share = LaneShare::new(quota),
            (Phase::Running(session), event) => {
                if let Err(fault) = session.handle(now, event, output) {
                    self.fail(now, &fault, output);
                }
            }
            (Phase::Authenticating { request, mechanism }, Event::Authenticated { request: answered, result })
                if *request == answered =>
            {
                let mechanism = *mechanism;
                self.authenticated(now, mechanism, result, output);
            }
            (Phase::Opening { request, principal }, Event::Reply { request: answered, result })
                if *request == answered =>
            {
                let principal = principal.clone();
                self.opened(now, principal, result, output);
            }
            (Phase::Leaving { request, .. }, Event::Reply { request: answered, .. }) if *request == answered => {
                self.goodbye(output);
            }
            // An error comes too late to be told: the client has said goodbye.
            (Phase::Leaving { session, .. }, event) => drop(session.handle(now, event, output)),
            _ => {}
        }
        self.tell_alarm(output);
        if output.bytes.len() != written {
            self.timers.note_sent(now.instant);
        }
    }

    fn timeout(&mut self, now: Now, output: &mut Output) {
        if self.check_at().is_some_and(|at| at <= now.instant)
            && let Phase::Running(session) = &mut self.phase
        {
            session.check_patience(now, output);
        }
        let Some((_, due)) = self.timers.next().filter(|(at, _)| *at <= now.instant) else { return };
        let close = match due {
            Due::Heartbeat => {
                output.bytes.buffer().put_slice(&HEARTBEAT_FRAME);
                return self.timers.note_sent(now.instant);
            }
            Due::Handshake => Close::TimedOut("handshake"),
            Due::PeerDead => Close::TimedOut("heartbeat"),
            Due::Closing => match &self.phase {
                Phase::Closing { close } => close.clone(),
                _ => Close::Normal,
            },
        };
        self.close_now(close, output);
    }

    fn unheard(&mut self, now: Now) {
        self.timers.note_received(now.instant);
    }

    fn heard_beneath(&mut self, now: Now) {
        self.unheard(now);
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            _ => [self.timers.next().map(|(at, _)| at), self.check_at()].into_iter().flatten().min(),
        }
    }

    fn shutdown(&mut self, now: Now, output: &mut Output) {
        match self.phase {
            Phase::ProtocolHeader => self.close_now(Close::Shutdown, output),
            _ => {
                let text = "broker forced connection closure with reason 'shutdown'";
                self.fail_as(now, &Fault::new(ReplyCode::ConnectionForced, text), Close::Shutdown, output);
            }
        }
    }

    fn describe(&self) -> Description {
        self.description()
    }

    fn end(&mut self, _: Now, _: &mut Output) {
        // The core releases what a connection holds when it ends.
        self.phase = Phase::Closed;
    }

    fn input_bytes_max(&self) -> usize {
        if self.is_authenticated() { self.agreed.frame_max.max(INPUT_BYTES_MIN) } else { self.agreed.frame_max }
    }

    fn publishes(&self) -> bool {
        matches!(&self.phase, Phase::Running(session) if session.shared.publishes)
    }

    fn is_authenticated(&self) -> bool {
        matches!(
            self.phase,
            Phase::TuneOk { .. }
                | Phase::Open { .. }
                | Phase::Opening { .. }
                | Phase::Running(_)
                | Phase::Leaving { .. }
        )
    }
}
