//! Whose request it is.

use std::collections::HashMap;

use crossdock_aws::sigv4::{claimed, verify};
use crossdock_aws::{Caller, Failure, Request};
use crossdock_common::{Name, UnixMillis};

use crate::config::{Secret, Settings};

/// The user of callers that nobody checks and nobody knows.
pub const GUEST: &str = "guest";

/// Access keys and the users they act for.
pub(super) struct Keys {
    keys: HashMap<String, Key>,
    verify: bool,
}

struct Key {
    secret: Secret,
    user: Name,
}

impl Keys {
    pub(super) fn new(settings: &Settings) -> Self {
        let keys = settings.aws.keys.iter().map(|key| {
            let user = Name::from(key.user.as_str());
            (key.access_key_id.clone(), Key { secret: key.secret_access_key.clone(), user })
        });
        Self { keys: keys.collect(), verify: settings.aws.verify_signatures && !settings.dev }
    }

    /// Refuses a request that cannot be good, whatever its body is.
    pub(super) fn expect(&self, request: &Request) -> Result<(), Failure> {
        if !self.verify {
            return Ok(());
        }
        let signer = claimed(request).ok_or(Failure::NotSigned)?;
        if self.keys.contains_key(&signer.access_key) { Ok(()) } else { Err(Failure::UnknownKey) }
    }

    /// Checks the signature, if signatures are checked.
    pub(super) fn caller(&self, request: &Request, now: UnixMillis) -> Result<Caller, Failure> {
        let signer = if self.verify {
            let secret = |access_key: &str| Some(self.keys.get(access_key)?.secret.expose().to_owned());
            Some(verify(request, now, secret)?)
        } else {
            claimed(request)
        };
        let key = signer.as_ref().and_then(|signer| self.keys.get(&signer.access_key));
        let user = key.map_or_else(|| Name::from(GUEST), |key| key.user.clone());
        Ok(Caller { user, region: signer.map(|signer| signer.region).filter(|region| !region.is_empty()) })
    }
}
