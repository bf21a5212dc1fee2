//! CONNECT: version, credentials, vhost.

use crossdock_common::command::Credentials;
use crossdock_common::random::Random;
use crossdock_common::{Command, Event, Name, Output, Refusal, RequestId, Text};

use super::FIRST_REQUEST;
use super::heartbeat::Beats;
use crate::error::{Fault, quote};
use crate::frame::{Frame, Headers, Version};
use crate::options::ConnectionOptions;

/// A client on its way in.
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) beats: Beats,
    pub(super) user: Name,
    /// What durable subscriptions of ActiveMQ's kind belong to.
    pub(super) client_id: Option<Text>,
    pub(super) random: Random,
    receipt: Option<Text>,
    vhost: Name,
    login: Name,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Authenticating(RequestId),
    Opening(RequestId),
}

impl Connect {
    /// Reads a CONNECT frame and asks the core who that is.
    pub(super) fn start(frame: &Frame, options: &ConnectionOptions, output: &mut Output) -> Result<Self, Fault> {
        let receipt = frame.headers.text("receipt");
        let connect = Self::read(frame.headers.clone(), options).map_err(|fault| fault.with_receipt(receipt))?;
        let (connect, credentials) = connect;
        output.commands.push(Command::Authenticate { request: FIRST_REQUEST, credentials });
        Ok(connect)
    }

    fn read(mut headers: Headers, options: &ConnectionOptions) -> Result<(Self, Credentials), Fault> {
        let accepted = headers.get("accept-version").map_or(Some(Version::V1_0), |names| Version::negotiate(&names));
        let Some(version) = accepted else {
            let detail = format!("Supported versions are {}", Version::SUPPORTED);
            return Err(Fault::violation("Version mismatch", detail));
        };
        if version == Version::V1_0 {
            headers.trim();
        }
        let (login, credentials) = credentials(&headers, options)?;
        let connect = Self {
            version,
            beats: Beats::parse(headers.get("heart-beat").as_deref())?,
            user: Name::default(),
            client_id: headers.text("client-id").filter(|id| !id.is_empty()),
            random: Random::from_seed(options.seed),
            receipt: headers.text("receipt"),
            vhost: headers.get("host").map_or_else(|| options.default_vhost.clone(), |host| Name::from(&*host)),
            login,
            stage: Stage::Authenticating(FIRST_REQUEST),
        };
        Ok((connect, credentials))
    }

    /// Takes an answer of the core. True when the client is in.
    pub(super) fn event(
        &mut self,
        event: Event,
        options: &ConnectionOptions,
        output: &mut Output,
    ) -> Result<bool, Fault> {
        match (self.stage, event) {
            (Stage::Authenticating(asked), Event::Authenticated { request, result }) if request == asked => {
                self.user = result.map_err(|refusal| self.login_refused(&refusal))?.name;
                self.open(RequestId(asked.0 + 1), output);
                Ok(false)
            }
            (Stage::Opening(asked), Event::Reply { request, result }) if request == asked => match result {
                Ok(_) => Ok(true),
                // Many clients put the name of the machine into `host`.
                Err(Refusal::VhostNotFound { .. }) if !options.strict_host && self.vhost != options.default_vhost => {
                    self.vhost = options.default_vhost.clone();
                    self.open(RequestId(asked.0 + 1), output);
                    Ok(false)
                }
                Err(refusal) => Err(self.vhost_refused(refusal)),
            },
            (_, Event::Forced { reason }) => Err(Fault::refused("connection closed", reason.as_str())),
            _ => Ok(false),
        }
    }

    pub(super) fn is_authenticated(&self) -> bool {
        matches!(self.stage, Stage::Opening(_))
    }

    fn open(&mut self, request: RequestId, output: &mut Output) {
        self.stage = Stage::Opening(request);
        output.commands.push(Command::Open { request, vhost: self.vhost.clone() });
    }

    fn login_refused(&self, refusal: &Refusal) -> Fault {
        let detail = match refusal {
            Refusal::InvalidCredentials => format!("Access refused for user '{}'", quote(&self.login)),
            other => other.to_string(),
        };
        Fault::refused("Bad CONNECT", detail).with_receipt(self.receipt.clone())
    }

    fn vhost_refused(&self, refusal: Refusal) -> Fault {
        let detail = match refusal {
            Refusal::VhostRefused { vhost, .. } => format!("Virtual host '{}' access denied", quote(&vhost)),
            other => other.to_string(),
        };
        Fault::refused("Bad CONNECT", detail).with_receipt(self.receipt.clone())
    }
}

fn credentials(headers: &Headers, options: &ConnectionOptions) -> Result<(Name, Credentials), Fault> {
    if let Some(login) = headers.get("login") {
        let user = Name::from(&*login);
        let password = headers.get("passcode").unwrap_or_default();
        let password = bytes::Bytes::copy_from_slice(password.as_bytes());
        return Ok((user.clone(), Credentials::Password { user, password }));
    }
    match &options.certificate_name {
        Some(name) => Ok((name.clone(), Credentials::Certificate)),
        None if options.allow_anonymous => Ok((Name::default(), Credentials::Anonymous)),
        None => Err(Fault::refused("Bad CONNECT", "Access refused: CONNECT must include a 'login' header")),
    }
}
