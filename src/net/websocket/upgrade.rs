//! The opening handshake (section 4.2): who may come in, and what is spoken then. HTTP itself is hyper's.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use crossdock_websocket::{Limits, accept_key, is_key};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::writer::Messages;
use crate::config::{Settings, WebProtocol};

/// The only version there is.
const VERSION: &str = "13";
/// Names that clients ask for, and what they mean.
const SUB_PROTOCOLS: [(&str, WebProtocol); 6] = [
    ("mqtt", WebProtocol::Mqtt),
    ("mqttv3.1", WebProtocol::Mqtt),
    ("v12.stomp", WebProtocol::Stomp),
    ("v11.stomp", WebProtocol::Stomp),
    ("v10.stomp", WebProtocol::Stomp),
    ("amqp", WebProtocol::Amqp),
];

/// Whom the handshake lets in.
pub(in crate::net) struct Gate {
    protocols: Vec<WebProtocol>,
    origins: Vec<String>,
    frame_bytes_max: u64,
    message_bytes_max: u64,
    /// Time for the handshake.
    pub timeout: Duration,
}

/// What a client and the gate agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Agreement {
    pub protocol: WebProtocol,
    /// One of the client's names for it.
    sub_protocol: Option<&'static str>,
}

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Rejection {
    Method,
    HttpVersion,
    NoHost,
    NoUpgrade,
    Version,
    Key,
    Path,
    Origin,
    NoSubProtocol,
    SubProtocol,
}

/// Where a path leads.
enum Place {
    /// The sub-protocol says what is spoken.
    Any,
    One(WebProtocol),
}

impl Gate {
    pub(in crate::net) fn new(settings: &Settings) -> Self {
        Self {
            protocols: settings.web_protocols(),
            origins: settings.websocket.origins.clone(),
            frame_bytes_max: settings.websocket.frame_bytes_max.0,
            message_bytes_max: settings.websocket.message_bytes_max.0,
            timeout: settings.limits.handshake_timeout_ms.duration(),
        }
    }

    /// What a client may send that agreed on this.
    pub(in crate::net) fn limits(&self, agreement: &Agreement) -> Limits {
        let (frame_bytes_max, message_bytes_max) = (self.frame_bytes_max, self.message_bytes_max);
        // MQTT 5 section 6: anything but binary frames ends the connection.
        Limits { frame_bytes_max, message_bytes_max, takes_text: agreement.protocol == WebProtocol::Stomp }
    }

    /// Whether the client comes in, and for what.
    pub(in crate::net) fn consider<B>(&self, request: &Request<B>, is_tls: bool) -> Result<Agreement, Rejection> {
        expect_upgrade(request)?;
        let place = self.place(request.uri().path()).ok_or(Rejection::Path)?;
        self.expect_origin(request.headers(), is_tls)?;
        let mut asked = tokens(request.headers(), &SEC_WEBSOCKET_PROTOCOL).peekable();
        if asked.peek().is_none() {
            return match place {
                // Clients of MQTT have to ask (MQTT-6.0.0-3); browsers' STOMP and AMQP clients often do not.
                Place::One(protocol @ (WebProtocol::Stomp | WebProtocol::Amqp)) => {
                    Ok(Agreement { protocol, sub_protocol: None })
                }
                _ => Err(Rejection::NoSubProtocol),
            };
        }
        asked.find_map(|name| self.agreement(&place, name)).ok_or(Rejection::SubProtocol)
    }

    fn place(&self, path: &str) -> Option<Place> {
        let protocol = match path {
            "/" | "/ws" => return Some(Place::Any),
            "/mqtt" | "/ws/mqtt" => WebProtocol::Mqtt,
            "/stomp" | "/ws/stomp" | "/stomp/websocket" => WebProtocol::Stomp,
            "/amqp" | "/ws/amqp" => WebProtocol::Amqp,
            _ => return None,
        };
        self.protocols.contains(&protocol).then_some(Place::One(protocol))
    }

    fn agreement(&self, place: &Place, name: &str) -> Option<Agreement> {
        let (name, protocol) = SUB_PROTOCOLS.into_iter().find(|(known, _)| *known == name)?;
        let is_here = match place {
            Place::Any => self.protocols.contains(&protocol),
            Place::One(one) => *one == protocol,
        };
        is_here.then_some(Agreement { protocol, sub_protocol: Some(name) })
    }

    /// Browsers say which page wants to connect: one of somebody else must not use what the person in front of it may do.
    fn expect_origin(&self, headers: &HeaderMap, is_tls: bool) -> Result<(), Rejection> {
        let is_good = |origin: &HeaderValue| self.lists(origin) || is_own(origin, headers, is_tls);
        let all_are_good = headers.get_all(ORIGIN).iter().all(is_good);
        if all_are_good { Ok(()) } else { Err(Rejection::Origin) }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|known| known == "*" || known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

/// Whether the page is of the host that is connected to, as clients that are no browsers like to say. A name proves nothing without TLS:
/// whoever owns it may have it lead to a broker of somebody else (DNS rebinding).
fn is_own(origin: &HeaderValue, headers: &HeaderMap, is_tls: bool) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let Some(authority) = authority.and_then(|authority| authority.parse::<Authority>().ok()) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_nobodys = host == "localhost" || host.parse::<IpAddr>().is_ok();
    let is_host =
        headers.get(HOST).is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()));
    is_host && (is_tls || is_nobodys)
}

fn expect_upgrade<B>(request: &Request<B>) -> Result<(), Rejection> {
    let headers = request.headers();
    let has = |name: &HeaderName, token: &str| tokens(headers, name).any(|one| one.eq_ignore_ascii_case(token));
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match () {
        () if request.method() != Method::GET => Err(Rejection::Method),
        () if request.version() != Version::HTTP_11 => Err(Rejection::HttpVersion),
        () if !headers.contains_key(HOST) => Err(Rejection::NoHost),
        () if !has(&UPGRADE, "websocket") || !has(&CONNECTION, "upgrade") => Err(Rejection::NoUpgrade),
        () if !tokens(headers, &SEC_WEBSOCKET_VERSION).eq([VERSION]) => Err(Rejection::Version),
        () if !keys.next().is_some_and(|key| is_key(key.as_bytes())) || keys.next().is_some() => Err(Rejection::Key),
        () => Ok(()),
    }
}

/// The words of a list, which may stand in several headers. What is no text is none of ours.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

impl Agreement {
    /// What a client's messages are.
    pub(in crate::net) fn messages(&self) -> Messages {
        match self.protocol {
            WebProtocol::Stomp => Messages::StompFrames,
            WebProtocol::Mqtt | WebProtocol::Amqp => Messages::Binary,
        }
    }

    /// The answer to the request that it was made for. No extension is agreed on, so nothing is ever compressed.
    pub(in crate::net) fn response<B>(&self, request: &Request<B>) -> Response<Body> {
        let key = request.headers().get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        let mut response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header(SEC_WEBSOCKET_ACCEPT, accept_key(key));
        if let Some(name) = self.sub_protocol {
            response = response.header(SEC_WEBSOCKET_PROTOCOL, name);
        }
        response.body(Body::empty()).unwrap_or_default()
    }
}

impl Rejection {
    fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Path => StatusCode::NOT_FOUND,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::HttpVersion | Self::NoHost | Self::Key | Self::NoSubProtocol | Self::SubProtocol => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// What the client and the log are told.
    pub(in crate::net) fn detail(self) -> &'static str {
        match self {
            Self::Method => "a WebSocket begins with GET",
            Self::HttpVersion => "a WebSocket begins with HTTP/1.1",
            Self::NoHost => "the header Host is missing",
            Self::NoUpgrade => "this port speaks WebSocket: Upgrade: websocket and Connection: Upgrade are missing",
            Self::Version => "the version of WebSocket is 13",
            Self::Key => "Sec-WebSocket-Key has to be there once, with 16 bytes in base64",
            Self::Path => "nothing is served here: /mqtt, /stomp, /amqp and /ws are, as far as they are enabled",
            Self::Origin => "the origin is not among websocket.origins",
            Self::NoSubProtocol => "a sub-protocol is missing: mqtt, mqttv3.1, v12.stomp, v11.stomp, v10.stomp or amqp",
            Self::SubProtocol => "none of the sub-protocols is served here",
        }
    }

    /// The request is one for a WebSocket; others may be meant for somebody else.
    pub(in crate::net) fn is_of_a_websocket(self) -> bool {
        !matches!(self, Self::Method | Self::HttpVersion | Self::NoHost | Self::NoUpgrade)
    }

    pub(in crate::net) fn response(self) -> Response<Body> {
        let mut response = Response::builder()
            .status(self.status())
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(CONNECTION, "close");
        response = match self {
            Self::Method => response.header(ALLOW, "GET"),
            Self::NoUpgrade => response.header(UPGRADE, "websocket"),
            Self::Version => response.header(SEC_WEBSOCKET_VERSION, VERSION),
            _ => response,
        };
        response.body(Body::from(format!("{}\n", self.detail()))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let mut settings = Settings::default();
        settings.websocket.origins = vec!["https://app.example".to_owned()];
        settings.listeners.amqp.enabled = crate::config::Switch::Off;
        Gate::new(&settings)
    }

    fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut all = vec![
            ("host", "broker"),
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        let mut request = Request::builder().uri(path);
        for (name, value) in all.iter().chain(headers).filter(|(_, value)| *value != "-") {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn considered(path: &str, headers: &[(&str, &str)]) -> Result<(WebProtocol, Option<&'static str>), Rejection> {
        gate().consider(&request(path, headers), false).map(|agreement| (agreement.protocol, agreement.sub_protocol))
    }

    #[test]
    fn path_and_sub_protocol_say_what_is_spoken() {
        let name = "sec-websocket-protocol";
        for (path, asked, expected) in [
            ("/mqtt", "mqtt", Ok((WebProtocol::Mqtt, Some("mqtt")))),
            ("/ws", "mqttv3.1", Ok((WebProtocol::Mqtt, Some("mqttv3.1")))),
            ("/ws", "unknown, v11.stomp, mqtt", Ok((WebProtocol::Stomp, Some("v11.stomp")))),
            ("/", "v12.stomp", Ok((WebProtocol::Stomp, Some("v12.stomp")))),
            ("/stomp", "mqtt,v10.stomp", Ok((WebProtocol::Stomp, Some("v10.stomp")))),
            ("/stomp", "-", Ok((WebProtocol::Stomp, None))),
            ("/stomp?x=1", "-", Ok((WebProtocol::Stomp, None))),
            ("/mqtt", "-", Err(Rejection::NoSubProtocol)),
            ("/ws", "-", Err(Rejection::NoSubProtocol)),
            ("/mqtt", "v12.stomp", Err(Rejection::SubProtocol)),
            ("/mqtt", "MQTT", Err(Rejection::SubProtocol)),
            ("/amqp", "amqp", Err(Rejection::Path)),
            ("/ws", "amqp", Err(Rejection::SubProtocol)),
            ("/else", "mqtt", Err(Rejection::Path)),
        ] {
            assert_eq!(considered(path, &[(name, asked)]), expected, "{path} {asked}");
        }
    }

    #[test]
    fn pages_of_others_stay_out() {
        for (origin, is_let_in) in [
            ("-", true),
            ("https://app.example", true),
            ("HTTPS://App.Example", true),
            ("https://app.example.evil", false),
            ("http://app.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(considered("/stomp", &[("origin", origin)]).is_ok(), is_let_in, "{origin}");
        }
        for (host, origin, is_let_in) in [
            ("127.0.0.1:1", "http://127.0.0.1:1", [true, true]),
            ("[::1]:1", "http://[::1]:1", [true, true]),
            ("localhost", "https://localhost", [true, true]),
            ("127.0.0.1:1", "http://127.0.0.1:2", [false, false]),
            ("127.0.0.1:1", "http://localhost:1", [false, false]),
            ("broker.example", "https://broker.example", [false, true]),
            ("broker.example", "https://broker.example.evil", [false, false]),
            ("broker.example", "broker.example", [false, false]),
        ] {
            let request = request("/stomp", &[("host", host), ("origin", origin)]);
            let let_in = [false, true].map(|is_tls| gate().consider(&request, is_tls).is_ok());
            assert_eq!(let_in, is_let_in, "{host} {origin}");
        }
        let both = [("origin", "https://app.example"), ("origin", "https://evil.example")];
        assert_eq!(considered("/stomp", &both), Err(Rejection::Origin));
    }

    #[test]
    fn what_is_no_handshake() {
        for (headers, rejection) in [
            (&[("host", "-")][..], Rejection::NoHost),
            (&[("upgrade", "-")], Rejection::NoUpgrade),
            (&[("upgrade", "h2c")], Rejection::NoUpgrade),
            (&[("connection", "close")], Rejection::NoUpgrade),
            (&[("sec-websocket-version", "8")], Rejection::Version),
            (&[("sec-websocket-version", "-")], Rejection::Version),
            (&[("sec-websocket-key", "-")], Rejection::Key),
            (&[("sec-websocket-key", "short")], Rejection::Key),
            (
                &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")],
                Rejection::Key,
            ),
        ] {
            assert_eq!(considered("/stomp", headers), Err(rejection), "{headers:?}");
        }
        let mut post = request("/stomp", &[]);
        *post.method_mut() = Method::POST;
        assert_eq!(gate().consider(&post, true), Err(Rejection::Method));
        let mut old = request("/stomp", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(gate().consider(&old, true), Err(Rejection::HttpVersion));
    }
}
