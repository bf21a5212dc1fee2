//! Whose request it is.

use std::collections::HashMap;
use std::net::IpAddr;

use crossdock_aws::namespaces::is_account;
use crossdock_aws::sigv4::{SigningKeys, claim, claimed, verify};
use crossdock_aws::{Caller, Failure, Request};
use crossdock_common::{Name, UnixMillis};

use crate::config::{Secret, Settings};

/// The user of callers that nobody checks and nobody knows.
pub const GUEST: &str = "guest";

/// Access keys and the users they act for.
pub(super) struct Keys {
    keys: HashMap<String, Key>,
    signing: SigningKeys,
    verify: bool,
}

struct Key {
    secret: Secret,
    user: Name,
    account: Option<String>,
}

impl Keys {
    pub(super) fn new(settings: &Settings) -> Self {
        let keys = settings.aws.keys.iter().map(|key| {
            let user = Name::from(key.user.as_str());
            let account = key.account_id.clone();
            (key.access_key_id.clone(), Key { secret: key.secret_access_key.clone(), user, account })
        });
        Self {
            keys: keys.collect(),
            signing: SigningKeys::default(),
            verify: settings.aws.verify_signatures && !settings.dev,
        }
    }

    /// Signatures are checked.
    pub(super) fn are_checked(&self) -> bool {
        self.verify
    }

    /// Refuses a request that cannot be good, whatever its body is.
    pub(super) fn expect(&self, request: &Request) -> Result<(), Failure> {
        if !self.verify {
            return Ok(());
        }
        let signer = claim(request)?;
        if self.keys.contains_key(&signer.access_key) { Ok(()) } else { Err(Failure::UnknownKey) }
    }

    /// Checks the signature, if signatures are checked.
    pub(super) fn caller(&self, request: &Request, peer: IpAddr, now: UnixMillis) -> Result<Caller, Failure> {
        let signer = if self.verify {
            let secret = |access_key: &str| Some(self.keys.get(access_key)?.secret.expose().to_owned());
            Some(verify(request, now, &self.signing, secret)?)
        } else {
            claimed(request)
        };
        let key = signer.as_ref().and_then(|signer| self.keys.get(&signer.access_key));
        let user = key.map_or_else(|| Name::from(GUEST), |key| key.user.clone());
        let account = match (key, &signer) {
            (Some(key), _) => key.account.clone(),
            // Nobody has said whose key it is: one that is a number is the account's.
            (None, signer) => signer.as_ref().map(|signer| signer.access_key.clone()).filter(|key| is_account(key)),
        };
        let region = signer.map(|signer| signer.region).filter(|region| is_region(region));
        Ok(Caller { user, account, region, peer: Some(peer) })
    }
}

/// A region goes into ARNs.
fn is_region(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn keys(verify: bool, dev: bool) -> Keys {
        let mut settings = Settings { dev, ..Settings::default() };
        settings.aws.verify_signatures = verify;
        settings.aws.keys.push(crate::config::AwsKeySettings {
            access_key_id: "AKID".to_owned(),
            secret_access_key: Secret::new("secret"),
            user: "orders".to_owned(),
            account_id: None,
        });
        Keys::new(&settings)
    }

    fn request(authorization: &str) -> Request {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let headers = vec![header("authorization", authorization), header("x-amz-date", "20260102T030405Z")];
        Request { headers, ..Request::default() }
    }

    fn signed(key: &str, region: &str) -> Request {
        let scope = format!("{key}/20260102/{region}/sqs/aws4_request");
        request(&format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"))
    }

    #[test]
    fn unchecked_callers_are_guests_or_who_they_say() {
        for keys in [keys(false, false), keys(true, true)] {
            let caller = |request: &Request| keys.caller(request, PEER, UnixMillis(0)).unwrap();
            assert_eq!(
                caller(&Request::default()),
                Caller { user: GUEST.into(), account: None, region: None, peer: Some(PEER) }
            );
            assert_eq!(caller(&signed("111122223333", "eu-west-1")).account.as_deref(), Some("111122223333"));
            assert_eq!(caller(&signed("any", "eu-west-1")).region.as_deref(), Some("eu-west-1"));
            assert_eq!(
                caller(&signed("AKID", "a:b")),
                Caller { user: "orders".into(), account: None, region: None, peer: Some(PEER) }
            );
        }
    }

    #[test]
    fn checked_callers_are_turned_away_before_their_body_is_read() {
        let keys = keys(true, false);
        assert_eq!(keys.expect(&Request::default()), Err(Failure::NotSigned));
        assert_eq!(keys.expect(&signed("any", "x")), Err(Failure::UnknownKey));
        assert_eq!(keys.expect(&signed("AKID", "x")), Ok(()));
        assert_eq!(keys.caller(&signed("AKID", "x"), PEER, UnixMillis(0)).unwrap_err().status(), 403);
    }
}
