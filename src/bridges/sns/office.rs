//! What the SNS API asks of the part that sends.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crossdock_aws::outward::signature_version;
use crossdock_aws::{PostOffice, SignatureVersion};
use crossdock_common::Name;

use super::address::AddressRules;
use super::signing::Signer;
use crate::broker::{Bell, Engine};
use crate::config::Settings;

/// Keys, rules and the bell, shared by the API and the couriers.
pub struct Office {
    pub(super) signer: Signer,
    pub(super) rules: AddressRules,
    pub(super) bell: Arc<Bell>,
    engine: Arc<Engine>,
    signs_in_queues: bool,
    configured_url: Option<String>,
    listener_url: OnceLock<String>,
}

impl Office {
    /// Of a broker that does not listen yet.
    pub fn new(engine: Arc<Engine>, settings: &Settings) -> Arc<Self> {
        let url = settings.aws.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
        Arc::new(Self {
            signer: Signer::new(engine.clone()),
            engine,
            signs_in_queues: settings.aws.sign_queue_notifications,
            rules: AddressRules::new(settings.aws.deliveries.allow.clone(), settings.dev),
            bell: Arc::default(),
            configured_url: url,
            listener_url: OnceLock::new(),
        })
    }

    /// The API listens there.
    pub fn set_listener(&self, url: String) {
        let _ = self.listener_url.set(url);
    }

    /// The certificate, if that is the path of it.
    pub fn certificate_at(&self, path: &str) -> Option<&str> {
        // Nobody's key is made for a path that cannot be its certificate's.
        let is_like_it = path.starts_with("/SimpleNotificationService-");
        let (known, pem) = is_like_it.then(|| self.signer.certificate()).flatten()?;
        (known == path).then_some(pem)
    }
}

impl PostOffice for Office {
    fn public_url(&self) -> String {
        let listener = || self.listener_url.get().cloned();
        self.configured_url.clone().or_else(listener).unwrap_or_else(|| "http://localhost".to_owned())
    }

    fn certificate_path(&self) -> Option<String> {
        self.signer.certificate().map(|(path, _)| path.to_owned())
    }

    fn sign(&self, version: SignatureVersion, text: &str) -> Option<String> {
        self.signer.sign(version, text)
    }

    fn signs_in_queues(&self) -> bool {
        self.signs_in_queues
    }

    fn signature_version(&self, vhost: &Name, topic: &Name) -> SignatureVersion {
        let topic = self.engine.broker.exchange_view(vhost, topic);
        topic.map(|(spec, _)| signature_version(&spec)).unwrap_or_default()
    }

    fn check_address(&self, address: IpAddr) -> Result<(), String> {
        self.rules.check(address)
    }

    fn subscriptions_changed(&self) {
        self.bell.ring();
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Office").field("url", &self.public_url()).finish_non_exhaustive()
    }
}
