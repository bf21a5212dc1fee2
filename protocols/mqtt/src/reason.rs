//! Reason codes, and what goes wrong in their terms.

use crossdock_common::Refusal;

/// A reason code of MQTT 5.0 (section 2.4). Below 0x80 it is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u8);

#[allow(missing_docs)]
impl Reason {
    pub const SUCCESS: Self = Self(0x00);
    pub const DISCONNECT_WITH_WILL: Self = Self(0x04);
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);
    pub const NO_SUBSCRIPTION_EXISTED: Self = Self(0x11);
    pub const CONTINUE_AUTHENTICATION: Self = Self(0x18);
    pub const REAUTHENTICATE: Self = Self(0x19);
    pub const UNSPECIFIED: Self = Self(0x80);
    pub const MALFORMED_PACKET: Self = Self(0x81);
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    pub const UNSUPPORTED_VERSION: Self = Self(0x84);
    pub const CLIENT_ID_NOT_VALID: Self = Self(0x85);
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub const SERVER_SHUTTING_DOWN: Self = Self(0x8B);
    pub const BAD_AUTHENTICATION_METHOD: Self = Self(0x8C);
    pub const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    pub const SESSION_TAKEN_OVER: Self = Self(0x8E);
    pub const TOPIC_FILTER_INVALID: Self = Self(0x8F);
    pub const TOPIC_NAME_INVALID: Self = Self(0x90);
    pub const PACKET_ID_NOT_FOUND: Self = Self(0x92);
    pub const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    pub const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    pub const QUOTA_EXCEEDED: Self = Self(0x97);
    pub const ADMINISTRATIVE_ACTION: Self = Self(0x98);
    pub const PAYLOAD_FORMAT_INVALID: Self = Self(0x99);
    pub const RETAIN_NOT_SUPPORTED: Self = Self(0x9A);
    pub const QOS_NOT_SUPPORTED: Self = Self(0x9B);
    pub const USE_ANOTHER_SERVER: Self = Self(0x9C);
    pub const SHARED_NOT_SUPPORTED: Self = Self(0x9E);
    pub const SUBSCRIPTION_IDS_NOT_SUPPORTED: Self = Self(0xA1);
    pub const WILDCARDS_NOT_SUPPORTED: Self = Self(0xA2);
}

impl Reason {
    /// Whether it says that something failed.
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// Whether a client may say it in PUBACK and PUBREC (tables 3.4 and 3.5).
    pub fn is_of_receipt(self) -> bool {
        matches!(self.0, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
    }

    /// Whether a client may say it in PUBREL and PUBCOMP (tables 3.6 and 3.7).
    pub fn is_of_release(self) -> bool {
        matches!(self.0, 0x00 | 0x92)
    }

    /// Whether a client may say it in DISCONNECT (table 3.13).
    pub fn is_of_goodbye(self) -> bool {
        matches!(self.0, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99)
    }

    /// The CONNACK return code of MQTT 3.1 and 3.1.1 (table 3.1); `None` where they only close.
    pub fn connect_return_code(self) -> Option<u8> {
        match self {
            Self::SUCCESS => Some(0),
            Self::UNSUPPORTED_VERSION => Some(1),
            Self::CLIENT_ID_NOT_VALID => Some(2),
            Self::SERVER_UNAVAILABLE | Self::QUOTA_EXCEEDED | Self::SERVER_SHUTTING_DOWN | Self::USE_ANOTHER_SERVER => {
                Some(3)
            }
            Self::BAD_USER_NAME_OR_PASSWORD => Some(4),
            Self::NOT_AUTHORIZED => Some(5),
            _ => None,
        }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::InvalidCredentials => Self::BAD_USER_NAME_OR_PASSWORD,
            Refusal::AccessRefused { .. }
            | Refusal::TopicRefused { .. }
            | Refusal::Forbidden(_)
            | Refusal::VhostNotFound { .. }
            | Refusal::VhostRefused { .. }
            | Refusal::ExclusiveUse { .. }
            | Refusal::ResourceLocked { .. } => Self::NOT_AUTHORIZED,
            Refusal::LimitReached(_) => Self::QUOTA_EXCEEDED,
            Refusal::Unavailable(_) => Self::SERVER_UNAVAILABLE,
            _ => Self::UNSPECIFIED,
        }
    }
}

/// A packet that ends the connection: what a version 5 client is told, and which rule the log names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} (0x{:02X})", reason.0)]
pub struct Fault {
    /// The code on the wire.
    pub reason: Reason,
    /// The rule that was broken.
    pub rule: &'static str,
}

/// An operator ended the connection.
pub const FORCED: Fault = Fault::new(Reason::ADMINISTRATIVE_ACTION, "an operator ended the connection");

impl Fault {
    /// With any code.
    pub const fn new(reason: Reason, rule: &'static str) -> Self {
        Self { reason, rule }
    }

    /// 0x81: the bytes are no packet.
    pub const fn malformed(rule: &'static str) -> Self {
        Self::new(Reason::MALFORMED_PACKET, rule)
    }

    /// 0x82: a packet that may not be sent so, or not now.
    pub const fn protocol(rule: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, rule)
    }
}

impl nom::error::ParseError<&[u8]> for Fault {
    fn from_error_kind(_: &[u8], _: nom::error::ErrorKind) -> Self {
        Self::malformed("packet ends too early")
    }

    fn append(_: &[u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}
