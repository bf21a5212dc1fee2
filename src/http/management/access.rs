//! Who asks, and what their tags let them see. What they may do to queues and exchanges is the core's decision, as in every protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock_common::Name;
use zeroize::Zeroizing;

use super::Management;
use super::answer::Failure;
use crate::auth::{ADMINISTRATOR, AuthenticationError};
use crate::broker::Engine;
use crate::http::body::{Missing, whole};
use crate::telemetry::Protocol;
use crate::telemetry::events::AuthenticationFailed;

const MONITORING: &str = "monitoring";
const POLICYMAKER: &str = "policymaker";
const MANAGEMENT: &str = "management";

/// Somebody who has logged in and may use the API.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub name: Name,
    pub tags: Arc<[String]>,
}

impl Visitor {
    fn has(&self, tags: &[&str]) -> bool {
        self.tags.iter().any(|tag| tags.contains(&tag.as_str()))
    }

    pub(super) fn is_administrator(&self) -> bool {
        self.has(&[ADMINISTRATOR])
    }

    /// Sees what belongs to others, and nodes.
    pub(super) fn is_monitor(&self) -> bool {
        self.has(&[ADMINISTRATOR, MONITORING])
    }

    /// Sees and makes policies and parameters.
    pub(super) fn is_policymaker(&self) -> bool {
        self.has(&[ADMINISTRATOR, POLICYMAKER])
    }

    fn is_known(&self) -> bool {
        self.has(&[ADMINISTRATOR, MONITORING, POLICYMAKER, MANAGEMENT])
    }

    /// 401 for others.
    pub(super) fn expect_administrator(&self) -> Result<(), Failure> {
        expect(self.is_administrator(), "Not administrator user")
    }

    /// 401 for others.
    pub(super) fn expect_monitor(&self) -> Result<(), Failure> {
        expect(self.is_monitor(), "Not monitor user")
    }

    /// 401 for others.
    pub(super) fn expect_policymaker(&self) -> Result<(), Failure> {
        expect(self.is_policymaker(), "User not authorised to access object")
    }

    /// Whether what is in the vhost is theirs to see.
    pub(super) fn sees(&self, engine: &Engine, vhost: &Name) -> bool {
        self.is_administrator() || engine.broker.may_enter(&self.name, vhost)
    }

    /// The vhosts whose contents they see.
    pub(super) fn vhosts(&self, engine: &Engine) -> Vec<Name> {
        let mut vhosts = engine.broker.vhost_names();
        vhosts.retain(|vhost| self.sees(engine, vhost));
        vhosts
    }

    /// A vhost whose contents they see: 404 if there is none, 401 if it is not theirs.
    pub(super) fn vhost(&self, engine: &Engine, name: &str) -> Result<Name, Failure> {
        let name = Name::from(name);
        if !engine.broker.has_vhost(&name) {
            return Err(Failure::no_object());
        }
        expect(self.sees(engine, &name), "User not authorised to access virtual host")?;
        Ok(name)
    }
}

fn expect(holds: bool, reason: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::not_authorised(reason)) }
}

/// Lets in who has logged in and has a tag that opens the API.
pub(super) async fn admit(
    State(management): State<Arc<Management>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let engine = management.engine()?;
    let visitor = log_in(&engine, peer, request.headers()).await?;
    expect(visitor.is_known(), "Not management user")?;
    management.rates.wanted(&engine);
    request.extensions_mut().insert(visitor);
    request.extensions_mut().insert(engine);
    Ok(next.run(received(request, management.body_bytes_max()).await?).await)
}

/// The request with all of its body.
async fn received(request: Request, body_bytes_max: usize) -> Result<Request, Failure> {
    let (parts, body) = request.into_parts();
    let body = whole(body, body_bytes_max).await.map_err(|missing| match missing {
        Missing::TooLarge => Failure::too_large(),
        Missing::TooSlow => Failure::too_slow(),
        Missing::Broken => Failure::bad_request("the body is not readable"),
    })?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

async fn log_in(engine: &Engine, peer: SocketAddr, headers: &HeaderMap) -> Result<Visitor, Failure> {
    let (user, password) = credentials(headers).ok_or_else(Failure::login_failed)?;
    let metrics = engine.metrics.protocol(Protocol::Management);
    match engine.authenticator.authenticate(peer.ip(), &user, password.as_bytes()).await {
        Ok(principal) => {
            metrics.authentications.inc();
            Ok(Visitor { name: Name::from(&*principal.name), tags: principal.tags })
        }
        Err(AuthenticationError::Refused) => {
            AuthenticationFailed { protocol: Protocol::Management, peer, user: &user }.emit(&engine.metrics);
            Err(Failure::login_failed())
        }
        Err(AuthenticationError::Unavailable) => {
            Err(Failure::unavailable("credentials cannot be checked at the moment"))
        }
    }
}

/// Name and password of RFC 7617.
fn credentials(headers: &HeaderMap) -> Option<(String, Zeroizing<String>)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_as_curl_writes_them() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            credentials(&headers).map(|(user, password)| (user, password.to_string()))
        };
        assert_eq!(read("Basic Z3Vlc3Q6Z3U6ZXN0"), Some(("guest".into(), "gu:est".into())));
        for wrong in ["Basic", "Basic Z3Vlc3Q=", "Basic *", "Bearer Z3Vlc3Q6Z3U6ZXN0", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tags_open_what_they_open_in_rabbitmq() {
        let visitor = |tag: &str| Visitor { name: "u".into(), tags: [tag.to_owned()].into() };
        let may = |tag| {
            let visitor = visitor(tag);
            [visitor.is_known(), visitor.is_policymaker(), visitor.is_monitor(), visitor.is_administrator()]
        };
        assert_eq!(may("other"), [false; 4]);
        assert_eq!(may("management"), [true, false, false, false]);
        assert_eq!(may("policymaker"), [true, true, false, false]);
        assert_eq!(may("monitoring"), [true, false, true, false]);
        assert_eq!(may("administrator"), [true; 4]);
    }
}
