//! Verification of AWS Signature Version 4, in the `Authorization` header and in presigned queries.
//!
//! The text of a refusal says what is wrong with the form of a request, never what the right signature would be.

mod canonical;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crossdock_common::UnixMillis;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use crate::calendar::read_basic;
use crate::digest::hex;
use crate::error::Failure;
use crate::http::Request;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// How far a client's clock may be off.
const SKEW_S_MAX: i64 = 15 * 60;
/// Longest life of a presigned request.
const EXPIRES_S_MAX: i64 = 7 * 24 * 3600;
/// Signing keys that are remembered: callers have one for each day, region and service.
const KEYS_MAX: usize = 1_000;
/// Headers that change what a request means: they count only if they are signed.
const MUST_BE_SIGNED: [&str; 4] = ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"];

/// Who signed a request, and for which region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    pub access_key: String,
    pub region: String,
}

/// Keys of good signatures, by their credential: making one costs as much as all the rest of a check. Secrets may not change while
/// these are kept. At most 1,000; a caller who signs well is needed to fill them.
#[derive(Debug, Default)]
pub struct SigningKeys(Mutex<HashMap<String, Hmac<Sha256>>>);

/// What a request says about its signature.
struct Claim<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    date: Cow<'a, str>,
    /// Presigned: seconds that it is good for.
    expires_s: Option<i64>,
}

/// The parts of a credential.
struct Scope<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

/// Who claims to have signed the request, unchecked; `None` if nobody does.
pub fn claimed(request: &Request) -> Option<Signer> {
    claim(request).ok()
}

/// The same.
///
/// # Errors
/// Nobody does, or what it says about that cannot be read.
pub fn claim(request: &Request) -> Result<Signer, Failure> {
    Claim::read(request)?.scope().map(|scope| scope.signer())
}

/// Checks the signature with the secret of the access key that the request names.
///
/// # Errors
/// The refusal for the client.
pub fn verify(
    request: &Request,
    now: UnixMillis,
    keys: &SigningKeys,
    secret_of: impl FnOnce(&str) -> Option<String>,
) -> Result<Signer, Failure> {
    verify_for(&["sqs", "sns", "sts"], request, now, keys, secret_of)
}

fn verify_for(
    services: &[&str],
    request: &Request,
    now: UnixMillis,
    keys: &SigningKeys,
    secret_of: impl FnOnce(&str) -> Option<String>,
) -> Result<Signer, Failure> {
    let claim = Claim::read(request)?;
    let scope = claim.scope()?;
    claim.check_form(&scope, services, request)?;
    let known = keys.get(&claim.credential);
    let key = match &known {
        Some(key) => key.clone(),
        None => {
            let secret = secret_of(scope.access_key).filter(|secret| !secret.is_empty());
            scope.key(&secret.ok_or(Failure::UnknownKey)?)
        }
    };
    let mac = key.clone().chain_update(claim.string_to_sign(&scope, request));
    // Compares in constant time.
    if unhex(&claim.signature).is_none_or(|signature| mac.verify_slice(&signature).is_err()) {
        return Err(Failure::Signature(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details."
                .to_owned(),
        ));
    }
    claim.check_time(&scope, now)?;
    if known.is_none() {
        keys.keep(&claim.credential, key);
    }
    Ok(scope.signer())
}

impl SigningKeys {
    fn get(&self, credential: &str) -> Option<Hmac<Sha256>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(credential).cloned()
    }

    fn keep(&self, credential: &str, key: Hmac<Sha256>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(credential.to_owned(), key);
    }
}

impl<'a> Claim<'a> {
    fn read(request: &'a Request) -> Result<Self, Failure> {
        match request.header("authorization") {
            Some(header) => Self::of_header(header, request),
            None => Self::of_query(request),
        }
    }

    fn of_header(header: &'a str, request: &'a Request) -> Result<Self, Failure> {
        let incomplete =
            |what: &str| Failure::IncompleteSignature(format!("Authorization header requires '{what}' parameter."));
        let rest = header.strip_prefix(ALGORITHM).ok_or_else(|| {
            Failure::IncompleteSignature(format!("Unsupported signature algorithm; expected {ALGORITHM}."))
        })?;
        let find = |name: &'static str| {
            let value = rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            value.ok_or_else(|| incomplete(name))
        };
        let date = request.header("x-amz-date").ok_or_else(|| incomplete("X-Amz-Date"))?;
        let [credential, signed_headers, signature] =
            [find("Credential")?, find("SignedHeaders")?, find("Signature")?].map(Cow::Borrowed);
        Ok(Self { credential, signed_headers, signature, date: date.into(), expires_s: None })
    }

    fn of_query(request: &'a Request) -> Result<Self, Failure> {
        let find = |name: &str| {
            let value = canonical::pairs(&request.query).find_map(|(key, value)| (key == name).then_some(value))?;
            percent_decode_str(value).decode_utf8().ok()
        };
        if find("X-Amz-Algorithm").is_none_or(|algorithm| algorithm != ALGORITHM) {
            return Err(Failure::NotSigned);
        }
        let need = |name: &'static str| {
            find(name).ok_or_else(|| Failure::IncompleteSignature(format!("The query requires '{name}'.")))
        };
        let expires = need("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=EXPIRES_S_MAX).contains(seconds));
        let expires = expires.ok_or_else(|| {
            Failure::IncompleteSignature(format!("X-Amz-Expires must be between 1 and {EXPIRES_S_MAX} seconds."))
        })?;
        let (credential, signed_headers) = (need("X-Amz-Credential")?, need("X-Amz-SignedHeaders")?);
        let (signature, date) = (need("X-Amz-Signature")?, need("X-Amz-Date")?);
        Ok(Self { credential, signed_headers, signature, date, expires_s: Some(expires) })
    }

    fn scope(&self) -> Result<Scope<'_>, Failure> {
        // From the right: nothing forbids a slash in an access key.
        let mut parts = self.credential.rsplitn(5, '/');
        let mut part = || parts.next();
        let (Some(end), Some(service), Some(region), Some(date), Some(access_key)) =
            (part(), part(), part(), part(), part())
        else {
            return Err(Failure::IncompleteSignature(
                "Credential must have at least 5 slash-delimited elements.".to_owned(),
            ));
        };
        if end != "aws4_request" {
            return Err(Failure::Signature(
                "Credential should be scoped with a valid terminator: 'aws4_request'.".into(),
            ));
        }
        Ok(Scope { access_key, date, region, service })
    }

    fn check_form(&self, scope: &Scope<'_>, services: &[&str], request: &Request) -> Result<(), Failure> {
        if !services.contains(&scope.service) {
            let text = format!("Credential should be scoped to correct service: '{}'.", services[0]);
            return Err(Failure::Signature(text));
        }
        let signed = || self.signed_headers.as_bytes().split(|byte| *byte == b';');
        let is_signed = |name: &str| signed().any(|signed| signed.eq_ignore_ascii_case(name.as_bytes()));
        let matters = |name: &&&str| **name == "host" || request.header(name).is_some();
        if let Some(unsigned) = MUST_BE_SIGNED.iter().filter(matters).find(|name| !is_signed(name)) {
            return Err(Failure::Signature(format!("'{unsigned}' must be a signed header.")));
        }
        // A header that is named thousands of times would be signed as often, whatever its length.
        let mut seen = HashSet::new();
        if signed().all(|name| seen.insert(name.to_ascii_lowercase())) {
            return Ok(());
        }
        Err(Failure::Signature("A header may be signed once only.".to_owned()))
    }

    fn check_time(&self, scope: &Scope<'_>, now: UnixMillis) -> Result<(), Failure> {
        let signed_at = read_basic(&self.date).filter(|_| self.date.starts_with(scope.date));
        let signed_at = signed_at.ok_or_else(|| {
            Failure::IncompleteSignature(
                "Date must be in ISO-8601 'basic format', of the day in the credential.".to_owned(),
            )
        })?;
        let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
        if signed_at > now + SKEW_S_MAX {
            return Err(Failure::Signature(format!("Signature not yet current: {} is too far ahead.", self.date)));
        }
        let life_s = self.expires_s.unwrap_or(SKEW_S_MAX);
        if signed_at + life_s < now {
            return Err(Failure::Signature(format!("Signature expired: {} is too long ago.", self.date)));
        }
        Ok(())
    }

    fn string_to_sign(&self, scope: &Scope<'_>, request: &Request) -> String {
        let given = request.header("x-amz-content-sha256");
        let payload = match given {
            Some(UNSIGNED_PAYLOAD) => UNSIGNED_PAYLOAD.to_owned(),
            _ => hex(&Sha256::digest(&request.body)),
        };
        let canonical = canonical::request(request, &self.signed_headers, &payload);
        let Scope { date, region, service, .. } = scope;
        let sum = hex(&Sha256::digest(canonical));
        format!("{ALGORITHM}\n{}\n{date}/{region}/{service}/aws4_request\n{sum}", self.date)
    }
}

impl Scope<'_> {
    fn signer(&self) -> Signer {
        Signer { access_key: self.access_key.to_owned(), region: self.region.to_owned() }
    }

    fn key(&self, secret: &str) -> Hmac<Sha256> {
        let mut key = hmac(format!("AWS4{secret}").as_bytes());
        for part in [self.date, self.region, self.service, "aws4_request"] {
            key = hmac(&key.chain_update(part.as_bytes()).finalize().into_bytes());
        }
        key
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

/// The bytes of a signature.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
