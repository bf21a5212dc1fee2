//! Enhanced authentication (section 4.12): what goes to and fro until somebody outside knows who it is.

use bytes::Bytes;
use crossdock_common::command::Credentials;
use crossdock_common::{Command, Event, Output, RequestId};

use crate::packet::auth::{self, Auth};
use crate::packet::properties::Property;
use crate::reason::{Fault, Reason};

/// The one method there is.
pub(crate) const METHOD: &str = "SCRAM-SHA-256";

/// An exchange, in CONNECT or later.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    step: Step,
    /// What the client is told with the good answer.
    pub proof: Bytes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Nothing is going on.
    #[default]
    Idle,
    /// What the client said is being looked at.
    Asked(RequestId),
    /// The client has been asked something.
    Challenged,
}

/// What an event means for an exchange.
pub(crate) enum Progress {
    /// It goes on, or is none of its business.
    Open,
    /// It has ended well.
    Proved,
}

impl Exchange {
    /// The client begins.
    pub fn begin(&mut self, request: RequestId, data: Option<&[u8]>, output: &mut Output) -> Result<(), Fault> {
        if self.step != Step::Idle {
            return Err(Fault::protocol("authentication is under way already (section 4.12)"));
        }
        self.ask(request, data, output)
    }

    /// Whether the client is to say something: until then only AUTH and DISCONNECT may come ([MQTT-3.1.2-30] of 5).
    pub fn awaits_client(&self) -> bool {
        self.step == Step::Challenged
    }

    /// The client answers.
    pub fn go_on(&mut self, request: RequestId, packet: Auth<'_>, output: &mut Output) -> Result<(), Fault> {
        expect_method(packet.method)?;
        if packet.reason != Reason::CONTINUE_AUTHENTICATION || self.step != Step::Challenged {
            return Err(Fault::protocol("AUTH that continues nothing [MQTT-4.12.0-3]"));
        }
        self.ask(request, packet.data, output)
    }

    fn ask(&mut self, request: RequestId, data: Option<&[u8]>, output: &mut Output) -> Result<(), Fault> {
        let data = data.ok_or_else(|| Fault::protocol("AUTH without authentication data"))?;
        self.step = Step::Asked(request);
        let credentials = Credentials::Exchange { data: Bytes::copy_from_slice(data) };
        output.commands.push(Command::Authenticate { request, credentials });
        Ok(())
    }

    /// Takes an answer. One that fails is the same for everything: 0x87.
    pub fn handle(&mut self, event: &Event, output: &mut Output) -> Result<Progress, Fault> {
        match event {
            Event::Challenge { request, data } if self.step == Step::Asked(*request) => {
                self.step = Step::Challenged;
                auth::put(output.bytes.buffer(), Reason::CONTINUE_AUTHENTICATION, METHOD, data);
                Ok(Progress::Open)
            }
            Event::Proof { request, data } if self.step == Step::Asked(*request) => {
                self.proof = data.clone();
                Ok(Progress::Open)
            }
            Event::Authenticated { request, result } if self.step == Step::Asked(*request) => {
                self.step = Step::Idle;
                match result {
                    Ok(_) => Ok(Progress::Proved),
                    Err(_) => Err(Fault::new(Reason::NOT_AUTHORIZED, "authentication failed (section 4.12)")),
                }
            }
            _ => Ok(Progress::Open),
        }
    }

    /// For the CONNACK ([MQTT-4.12.0-5] of 5: the same method).
    pub fn properties(&self) -> [Property<'_>; 2] {
        [Property::AuthenticationMethod(METHOD), Property::AuthenticationData(&self.proof)]
    }
}

/// Whether it is the method that there is.
pub(crate) fn expect_method(method: Option<&str>) -> Result<(), Fault> {
    match method {
        Some(METHOD) => Ok(()),
        Some(_) => Err(Fault::new(Reason::BAD_AUTHENTICATION_METHOD, "authentication method is not SCRAM-SHA-256")),
        None => Err(Fault::protocol("AUTH without an authentication method [MQTT-4.12.0-6]")),
    }
}
