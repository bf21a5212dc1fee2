//! The machine: which phase a connection is in, and what each phase lets through. See `LIFECYCLE.md`.

mod connect;
mod heartbeat;

use bytes::{Bytes, BytesMut};
use crossdock_common::output::{Close, OutgoingBytes};
use crossdock_common::{Description, Event, Instant, Machine, Now, Output, RequestId};

use crate::error::Fault;
use crate::frame::{Decoder, Frame, Rules, ServerFrame, Verb, Version};
use crate::options::ConnectionOptions;
use crate::session::{Peer, Session};
use connect::Connect;
use heartbeat::Heartbeat;

/// The broker's side of one STOMP connection.
pub struct Connection {
    options: ConnectionOptions,
    decoder: Decoder,
    /// Bytes that the last call left in the input: only more than these are new.
    input_left: usize,
    phase: Phase,
}

/// Each phase owns what is valid in it.
enum Phase {
    /// Nothing but CONNECT may come.
    Greeting { deadline: Instant },
    /// The core checks credentials, then the vhost; further frames wait in the input.
    Entering { deadline: Instant, connect: Box<Connect> },
    /// CONNECTED was sent.
    Connected { session: Box<Session>, heartbeat: Heartbeat },
    /// The output's close is set: nothing is read or written any more.
    Closed,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(now: Now, options: ConnectionOptions) -> Self {
        let deadline = now.instant.after_ms(options.limits.handshake_timeout_ms);
        Self { options, decoder: Decoder::default(), input_left: 0, phase: Phase::Greeting { deadline } }
    }

    fn rules(&self) -> Rules {
        match &self.phase {
            Phase::Connected { session, .. } => Rules::of_version(session.version(), &self.options.limits),
            _ => Rules::of_stranger(&self.options.limits),
        }
    }

    /// Whether frames must wait in the input until the core has answered.
    fn must_wait(&self) -> bool {
        match &self.phase {
            Phase::Greeting { .. } => false,
            Phase::Entering { .. } | Phase::Closed => true,
            Phase::Connected { session, .. } => session.must_wait(),
        }
    }

    /// Whether what comes now is of no interest any more.
    fn is_deaf(&self) -> bool {
        match &self.phase {
            Phase::Greeting { .. } | Phase::Entering { .. } => false,
            Phase::Connected { session, .. } => session.is_leaving(),
            Phase::Closed => true,
        }
    }

    fn frame(&mut self, now: Now, frame: Frame, output: &mut Output) -> Result<(), Fault> {
        match &mut self.phase {
            Phase::Greeting { deadline } if frame.verb == Verb::Connect => {
                let (deadline, connect) = (*deadline, Connect::start(&frame, &self.options, output)?);
                self.phase = Phase::Entering { deadline, connect: Box::new(connect) };
                Ok(())
            }
            Phase::Greeting { .. } => {
                let receipt = frame.headers.text("receipt");
                Err(Fault::violation("Illegal command", "You must log in using CONNECT first").with_receipt(receipt))
            }
            Phase::Connected { session, .. } => session.frame(now, &frame, output),
            Phase::Entering { .. } | Phase::Closed => Ok(()),
        }
    }

    fn event(&mut self, now: Now, event: Event, output: &mut Output) -> Result<(), Fault> {
        match &mut self.phase {
            Phase::Entering { connect, .. } => {
                if connect.event(event, &self.options, output)? {
                    self.connected(now, output);
                }
                Ok(())
            }
            Phase::Connected { session, .. } => session.event(now, event, output),
            Phase::Greeting { .. } | Phase::Closed => Ok(()),
        }
    }

    fn connected(&mut self, now: Now, output: &mut Output) {
        let Phase::Entering { connect, .. } = std::mem::replace(&mut self.phase, Phase::Closed) else { return };
        let heartbeat = Heartbeat::new(now, connect.beats, &self.options.limits);
        let Connect { version, user, client_id, random, .. } = *connect;
        let session = Session::new(Peer { version, user, client_id }, random, &self.options);
        let server = format!("{}/{}", self.options.server_name, self.options.server_version);
        ServerFrame::new(Version::V1_0, "CONNECTED")
            .header("version", session.version().name())
            .header("session", session.id())
            .header("server", &server)
            .header("heart-beat", &heartbeat.header())
            .write(&Bytes::new(), &mut output.bytes);
        self.phase = Phase::Connected { session: Box::new(session), heartbeat };
    }

    /// Tells the peer what was wrong, and ends the connection.
    fn fail(&mut self, fault: Fault, output: &mut Output) {
        let version = match &self.phase {
            Phase::Connected { session, .. } => session.version(),
            Phase::Entering { connect, .. } => connect.version,
            Phase::Greeting { .. } | Phase::Closed => Version::V1_0,
        };
        write_error(&fault, version, &mut output.bytes);
        self.close(fault.into_close(), output);
    }

    fn close(&mut self, close: Close, output: &mut Output) {
        output.close(close);
        self.phase = Phase::Closed;
    }

    /// What every call ends with.
    fn settle(&mut self, now: Now, written_before: usize, output: &mut Output) {
        let Phase::Connected { session, heartbeat } = &mut self.phase else { return };
        session.say_goodbye(output);
        if output.bytes.len() > written_before {
            heartbeat.sent(now);
        }
        if output.close.is_some() {
            self.phase = Phase::Closed;
        }
    }
}

/// An ERROR frame. `version` lists what we speak, as RabbitMQ does in every one.
fn write_error(fault: &Fault, version: Version, bytes: &mut OutgoingBytes) {
    let body = Bytes::from(format!("{}\n", fault.detail));
    ServerFrame::new(version, "ERROR")
        .header("message", fault.message)
        .header("content-type", "text/plain")
        .header("version", Version::SUPPORTED)
        .header_if("receipt-id", fault.receipt.as_deref())
        .header_if("subscription", fault.subscription.as_deref())
        .header("content-length", &body.len().to_string())
        .write(&body, bytes);
}

impl Machine for Connection {
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        let before = output.bytes.len();
        if let Phase::Connected { heartbeat, .. } = &mut self.phase
            && input.len() > self.input_left
        {
            heartbeat.received(now);
        }
        while !self.must_wait() {
            let rules = self.rules();
            if self.decoder.is_between()
                && let Phase::Connected { session, .. } = &mut self.phase
                && session.send_again(now, input, output)
            {
                continue;
            }
            let result = match self.decoder.next(input, &rules) {
                Ok(None) => break,
                Ok(Some(frame)) => self.frame(now, frame, output),
                Err(error) => Err(error.into()),
            };
            if let Err(fault) = result {
                self.fail(fault, output);
            }
            self.settle(now, before, output);
        }
        if self.is_deaf() {
            input.clear();
        }
        self.input_left = input.len();
        self.settle(now, before, output);
    }

    fn handle(&mut self, now: Now, event: Event, output: &mut Output) {
        let before = output.bytes.len();
        if let Err(fault) = self.event(now, event, output) {
            self.fail(fault, output);
        }
        self.settle(now, before, output);
    }

    fn timeout(&mut self, now: Now, output: &mut Output) {
        match &mut self.phase {
            Phase::Greeting { deadline } | Phase::Entering { deadline, .. } if now.instant >= *deadline => {
                self.close(Close::TimedOut("STOMP handshake"), output);
            }
            Phase::Connected { heartbeat, .. } => {
                if heartbeat.is_silent(now) {
                    self.close(Close::TimedOut("STOMP heart-beat"), output);
                } else if heartbeat.is_due(now) {
                    output.bytes.buffer().extend_from_slice(b"\n");
                    heartbeat.sent(now);
                }
            }
            Phase::Greeting { .. } | Phase::Entering { .. } | Phase::Closed => {}
        }
    }

    fn unheard(&mut self, now: Now) {
        if let Phase::Connected { heartbeat, .. } = &mut self.phase {
            heartbeat.received(now);
        }
    }

    fn heard_beneath(&mut self, now: Now) {
        self.unheard(now);
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Greeting { deadline } | Phase::Entering { deadline, .. } => Some(*deadline),
            Phase::Connected { heartbeat, .. } => heartbeat.deadline(),
            Phase::Closed => None,
        }
    }

    fn shutdown(&mut self, _now: Now, output: &mut Output) {
        if let Phase::Connected { session, .. } = &self.phase {
            let fault = Fault::violation("shutdown", "Server shutting down");
            write_error(&fault, session.version(), &mut output.bytes);
        }
        self.close(Close::Shutdown, output);
    }

    fn describe(&self) -> Description {
        match &self.phase {
            Phase::Connected { session, .. } => session.description(),
            _ => Description::default(),
        }
    }

    fn end(&mut self, _now: Now, _output: &mut Output) {
        // Open transactions go with the machine; the core releases what was not settled.
        self.phase = Phase::Closed;
    }

    fn input_bytes_max(&self) -> usize {
        self.decoder.input_bytes_max(&self.rules())
    }

    fn publishes(&self) -> bool {
        matches!(&self.phase, Phase::Connected { session, .. } if session.has_published())
    }

    fn is_authenticated(&self) -> bool {
        match &self.phase {
            Phase::Greeting { .. } | Phase::Closed => false,
            Phase::Entering { connect, .. } => connect.is_authenticated(),
            Phase::Connected { .. } => true,
        }
    }
}

/// The first request of a connection; sessions count on from it.
const FIRST_REQUEST: RequestId = RequestId(1);
