//! Whose request it is.

use std::collections::HashMap;
use std::net::IpAddr;

use crossdock_aws::namespaces::is_account;
use crossdock_aws::sigv4::{Claim, SigningKeys};
use crossdock_aws::{Caller, Failure, Head};
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

    /// Refuses a request that cannot be good, whatever its body is. Who signs nothing goes on where signatures are not checked.
    pub(super) fn expect<'a>(&self, claim: Result<Claim<'a>, Failure>) -> Result<Option<Claim<'a>>, Failure> {
        if !self.verify {
            return Ok(claim.ok());
        }
        let claim = claim?;
        if self.keys.contains_key(claim.access_key()) { Ok(Some(claim)) } else { Err(Failure::UnknownKey) }
    }

    /// Checks the signature, if signatures are checked.
    pub(super) fn caller(
        &self,
        claim: Option<Claim<'_>>,
        head: &Head,
        body: &[u8],
        peer: IpAddr,
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        let claim = claim.as_ref();
        if self.verify {
            let secret = |access_key: &str| Some(self.keys.get(access_key)?.secret.expose().to_owned());
            claim.ok_or(Failure::NotSigned)?.verify(head, body, now, &self.signing, secret)?;
        }
        let access_key = claim.map(Claim::access_key);
        let key = access_key.and_then(|access_key| self.keys.get(access_key));
        let user = key.map_or_else(|| Name::from(GUEST), |key| key.user.clone());
        let account = match key {
            Some(key) => key.account.clone(),
            // Nobody has said whose key it is: one that is a number is the account's.
            None => access_key.filter(|key| is_account(key)).map(str::to_owned),
        };
        let region = claim.map(Claim::region).filter(|region| is_region(region)).map(str::to_owned);
        Ok(Caller { user, account, region, peer: Some(peer), is_signed: claim.is_some() })
    }
}

/// A region goes into ARNs.
fn is_region(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

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

    fn request(authorization: &str) -> Head {
        let mut head = Head::default();
        head.headers.insert("authorization", authorization.parse().unwrap());
        head.headers.insert("x-amz-date", HeaderValue::from_static("20260102T030405Z"));
        head
    }

    fn expect(keys: &Keys, head: &Head) -> Result<(), Failure> {
        keys.expect(Claim::read(head)).map(drop)
    }

    fn caller(keys: &Keys, head: &Head) -> Result<Caller, Failure> {
        keys.caller(keys.expect(Claim::read(head))?, head, b"", PEER, UnixMillis(0))
    }

    fn signed(key: &str, region: &str) -> Head {
        let scope = format!("{key}/20260102/{region}/sqs/aws4_request");
        request(&format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"))
    }

    #[test]
    fn unchecked_callers_are_guests_or_who_they_say() {
        for keys in [keys(false, false), keys(true, true)] {
            let caller = |head: &Head| caller(&keys, head).unwrap();
            let unsigned =
                Caller { user: GUEST.into(), account: None, region: None, peer: Some(PEER), is_signed: false };
            assert_eq!(caller(&Head::default()), unsigned);
            assert_eq!(caller(&signed("111122223333", "eu-west-1")).account.as_deref(), Some("111122223333"));
            assert_eq!(caller(&signed("any", "eu-west-1")).region.as_deref(), Some("eu-west-1"));
            let known = Caller { user: "orders".into(), is_signed: true, ..unsigned };
            assert_eq!(caller(&signed("AKID", "a:b")), known);
        }
    }

    #[test]
    fn checked_callers_are_turned_away_before_their_body_is_read() {
        let keys = keys(true, false);
        assert_eq!(expect(&keys, &Head::default()), Err(Failure::NotSigned));
        assert_eq!(expect(&keys, &signed("any", "x")), Err(Failure::UnknownKey));
        assert_eq!(expect(&keys, &signed("AKID", "x")), Ok(()));
        assert_eq!(caller(&keys, &signed("AKID", "x")).unwrap_err().status(), 403);
        let nobody = keys.caller(None, &Head::default(), b"", PEER, UnixMillis(0));
        assert_eq!(nobody, Err(Failure::NotSigned));
    }
}
