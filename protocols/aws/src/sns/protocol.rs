//! What a subscription's messages go out by, and what its endpoint has to look like.

use core::net::IpAddr;
use core::str::FromStr as _;

use crate::error::Failure;

/// Longest endpoint.
const ENDPOINT_BYTES_MAX: usize = 2_048;
/// Digits of a phone number (E.164).
const PHONE_DIGITS: core::ops::RangeInclusive<usize> = 2..=15;

/// SNS's `Protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Http,
    Https,
    Email,
    EmailJson,
    Sms,
    Sqs,
    Application,
    Lambda,
    Firehose,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Http,
        Self::Https,
        Self::Email,
        Self::EmailJson,
        Self::Sms,
        Self::Sqs,
        Self::Application,
        Self::Lambda,
        Self::Firehose,
    ];

    /// SNS's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Email => "email",
            Self::EmailJson => "email-json",
            Self::Sms => "sms",
            Self::Sqs => "sqs",
            Self::Application => "application",
            Self::Lambda => "lambda",
            Self::Firehose => "firehose",
        }
    }

    /// What the word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == word)
    }

    /// Its messages are POSTed to a URL.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whoever is at the endpoint has to want it.
    pub(crate) fn needs_confirmation(self) -> bool {
        self.is_http() || matches!(self, Self::Email | Self::EmailJson)
    }

    /// Messages may go out without the JSON around them.
    pub(crate) fn has_raw_delivery(self) -> bool {
        self.is_http() || matches!(self, Self::Sqs | Self::Firehose)
    }

    /// Refuses what cannot be an endpoint of the protocol, except queues' ARNs.
    pub(crate) fn check(self, endpoint: &str) -> Result<(), Failure> {
        let invalid = |reason: &str| Err(Failure::SnsInvalid(reason.to_owned()));
        if endpoint.len() > ENDPOINT_BYTES_MAX {
            return invalid("Endpoint Reason: it must be at most 2048 bytes long");
        }
        match self {
            Self::Http | Self::Https if host_of(endpoint, self).is_none() => {
                invalid("Endpoint must match the specified protocol")
            }
            Self::Email | Self::EmailJson if !is_email(endpoint) => invalid("Email address"),
            Self::Sms if !is_phone_number(endpoint) => {
                Err(Failure::SnsInvalidText(format!("Invalid SMS endpoint: {endpoint}")))
            }
            Self::Application if !is_arn(endpoint, "sns", "endpoint/") => invalid("Application endpoint arn"),
            Self::Lambda if !is_arn(endpoint, "lambda", "function:") => invalid("Lambda endpoint ARN"),
            Self::Firehose if !is_arn(endpoint, "firehose", "deliverystream/") => invalid("Firehose endpoint ARN"),
            _ => Ok(()),
        }
    }
}

/// The host of a URL of the protocol; `None` if it is no such URL.
pub(crate) fn host_of(url: &str, protocol: Protocol) -> Option<&str> {
    let rest = url.strip_prefix(protocol.word())?.strip_prefix("://")?;
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?,
        None => host_and_port.split_at(host_and_port.find(':').unwrap_or(host_and_port.len())),
    };
    let port = port.strip_prefix(':').unwrap_or("1");
    (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some(host)
}

/// The address that a URL of the protocol names itself, if its host is no name.
pub(crate) fn address_of(url: &str, protocol: Protocol) -> Option<IpAddr> {
    IpAddr::from_str(host_of(url, protocol)?).ok()
}

fn is_email(text: &str) -> bool {
    let legal = text.chars().all(|character| !character.is_control() && !character.is_whitespace());
    legal
        && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

/// E.164.
pub(crate) fn is_phone_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        PHONE_DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

fn is_arn(text: &str, service: &str, begins: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let is_named = parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some(service);
    let rest = parts.nth(2).unwrap_or_default();
    let legal = text.bytes().all(|byte| byte.is_ascii_graphic());
    is_named && legal && rest.len() > begins.len() && rest.starts_with(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, host) in [
            ("http://example.com", Some("example.com")),
            ("http://example.com:8080/path?x", Some("example.com")),
            ("http://user:pass@example.com/", Some("example.com")),
            ("http://[::1]:80/", Some("::1")),
            ("http://good.example@evil.example/", Some("evil.example")),
            ("https://example.com", None),
            ("http:///path", None),
            ("http://example.com:0/", None),
            ("http://example.com:port/", None),
            ("http://exa mple.com/", None),
            ("http://example.com/\r\nx: y", None),
            ("ftp://example.com", None),
        ] {
            assert_eq!(host_of(url, Protocol::Http), host, "{url}");
        }
    }

    #[test]
    fn endpoints_are_checked() {
        let text = |protocol: Protocol, endpoint: &str| protocol.check(endpoint).map_err(|failure| failure.text());
        for endpoint in ["NAA+15551234567", "+15--551234567", "+15551234567.", "/+15551234567", "+1", "+0123456"] {
            assert_eq!(text(Protocol::Sms, endpoint), Err(format!("Invalid SMS endpoint: {endpoint}")));
        }
        assert_eq!(text(Protocol::Sms, "+15551234567"), Ok(()));
        assert_eq!(text(Protocol::Email, "a@example.com"), Ok(()));
        assert_eq!(text(Protocol::Email, "example.com"), Err("Invalid parameter: Email address".to_owned()));
        assert_eq!(text(Protocol::Lambda, "arn:aws:lambda:us-east-1:000000000000:function:f"), Ok(()));
        assert!(text(Protocol::Lambda, "arn:aws:sns:us-east-1:000000000000:function:f").is_err());
        assert_eq!(text(Protocol::Firehose, "arn:aws:firehose:us-east-1:000000000000:deliverystream/s"), Ok(()));
        assert_eq!(text(Protocol::Application, "arn:aws:sns:us-east-1:000000000000:endpoint/GCM/a/b"), Ok(()));
        let other = "Invalid parameter: Endpoint must match the specified protocol".to_owned();
        assert_eq!(text(Protocol::Https, "http://example.com"), Err(other));
    }
}
