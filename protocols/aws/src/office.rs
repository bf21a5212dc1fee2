//! What actions need of the part of the broker that sends messages outwards: keys, addresses, and that somebody looks.

use core::fmt::Debug;
use core::net::IpAddr;

use crossdock_common::Name;

/// How a message is signed (`SignatureVersion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SignatureVersion {
    /// RSA PKCS#1 v1.5 with SHA-1.
    #[default]
    One,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Two,
}

impl SignatureVersion {
    /// As it stands in messages.
    pub fn text(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }

    /// That of a topic with this attribute.
    pub(crate) fn of_attribute(text: Option<&str>) -> Self {
        if text == Some("2") { Self::Two } else { Self::One }
    }
}

/// The part of the broker that sends messages outwards.
pub trait PostOffice: Debug + Send + Sync {
    /// `http://host:port` under which whoever gets messages reaches this API.
    fn public_url(&self) -> String;

    /// The path at [`public_url`](Self::public_url) of the certificate that signatures are checked with.
    fn certificate_path(&self) -> Option<String>;

    /// The signature of a text in base64; takes milliseconds. `None` if there is no key.
    fn sign(&self, version: SignatureVersion, text: &str) -> Option<String>;

    /// Whether notifications in queues are signed, too.
    fn signs_in_queues(&self) -> bool;

    /// How the messages of a topic are signed.
    fn signature_version(&self, vhost: &Name, topic: &Name) -> SignatureVersion;

    /// Whether messages may go to that address.
    ///
    /// # Errors
    /// Why not.
    fn check_address(&self, address: IpAddr) -> Result<(), String>;

    /// There are other subscriptions than before.
    fn subscriptions_changed(&self);
}
