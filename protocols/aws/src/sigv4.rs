//! Verification of AWS Signature Version 4, in the `Authorization` header and in presigned queries.
//!
//! The text of a refusal says what is wrong with the form of a request, never what the right signature would be.

mod canonical;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crossdock_common::UnixMillis;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderName;
use http::header::{AUTHORIZATION, HOST};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::calendar::read_basic;
use crate::digest::digits;
use crate::error::Failure;
use crate::http::{Head, TARGET};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The end of every credential.
const END: &str = "aws4_request";
/// More than what is signed has: algorithm, date, scope and sum.
const STRING_BYTES: usize = 256;
/// As many as SDKs sign, or more.
const SIGNED_HEADERS: usize = 12;
/// How far a client's clock may be off.
const SKEW_S_MAX: i64 = 15 * 60;
/// Longest life of a presigned request.
const EXPIRES_S_MAX: i64 = 7 * 24 * 3600;
/// Signing keys that are remembered: callers have one for each day, region and service.
const KEYS_MAX: usize = 1_000;
/// Headers that change what a request means: they count only if they are signed.
const MUST_BE_SIGNED: [HeaderName; 4] = [HOST, DATE, HeaderName::from_static("x-amz-security-token"), TARGET];
/// When the request was signed.
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Keys of good signatures, by their credential: making one costs as much as all the rest of a check. Secrets may not change while
/// these are kept. At most 1,000; a caller who signs well is needed to fill them.
#[derive(Debug, Default)]
pub struct SigningKeys(Mutex<HashMap<String, Hmac<Sha256>>>);

/// What the head of a request says about its signature, unchecked.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    credential: Cow<'a, str>,
    scope: Scope,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    date: Cow<'a, str>,
    /// Presigned: seconds that it is good for.
    expires_s: Option<i64>,
}

/// What an `Authorization` header says behind the algorithm, the first of each.
#[derive(Default)]
struct Parts<'a> {
    credential: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
}

/// Where the parts of a credential end: `key/20260102/eu-west-1/sqs/aws4_request`.
#[derive(Clone, Copy, Debug)]
struct Scope {
    access_key: usize,
    date: usize,
    region: usize,
    service: usize,
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
    /// Reads what the `Authorization` header says, or the query without one.
    ///
    /// # Errors
    /// Nobody claims to have signed the request, or what is said about that cannot be read.
    pub fn read(head: &'a Head) -> Result<Self, Failure> {
        match head.header(&AUTHORIZATION) {
            Some(header) => Self::of_header(header, head),
            None => Self::of_query(head),
        }
    }

    fn of_header(header: &'a str, head: &'a Head) -> Result<Self, Failure> {
        let incomplete =
            |what: &str| Failure::IncompleteSignature(format!("Authorization header requires '{what}' parameter."));
        let rest = header.strip_prefix(ALGORITHM).ok_or_else(|| {
            Failure::IncompleteSignature(format!("Unsupported signature algorithm; expected {ALGORITHM}."))
        })?;
        let date = head.header(&DATE).ok_or_else(|| incomplete("X-Amz-Date"))?;
        let parts = Parts::of(rest);
        let credential = parts.credential.ok_or_else(|| incomplete("Credential"))?;
        let signed_headers = parts.signed_headers.ok_or_else(|| incomplete("SignedHeaders"))?.into();
        let signature = parts.signature.ok_or_else(|| incomplete("Signature"))?.into();
        let scope = Scope::of(credential)?;
        let credential = credential.into();
        Ok(Self { credential, scope, signed_headers, signature, date: date.into(), expires_s: None })
    }

    fn of_query(head: &'a Head) -> Result<Self, Failure> {
        let find = |name: &str| {
            let value = canonical::pairs(head.query()).find_map(|(key, value)| (key == name).then_some(value))?;
            percent_decode_str(value).decode_utf8().ok()
        };
        if find("X-Amz-Algorithm").is_none_or(|algorithm| algorithm != ALGORITHM) {
            return Err(Failure::NotSigned);
        }
        let need = |name: &'static str| {
            find(name).ok_or_else(|| Failure::IncompleteSignature(format!("The query requires '{name}'.")))
        };
        let expires = need("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=EXPIRES_S_MAX).contains(seconds));
        let expires_s = Some(expires.ok_or_else(|| {
            Failure::IncompleteSignature(format!("X-Amz-Expires must be between 1 and {EXPIRES_S_MAX} seconds."))
        })?);
        let (credential, signed_headers) = (need("X-Amz-Credential")?, need("X-Amz-SignedHeaders")?);
        let (signature, date) = (need("X-Amz-Signature")?, need("X-Amz-Date")?);
        let scope = Scope::of(&credential)?;
        Ok(Self { credential, scope, signed_headers, signature, date, expires_s })
    }

    /// Whose key it is to be.
    pub fn access_key(&self) -> &str {
        &self.credential[..self.scope.access_key]
    }

    /// The region that the caller signed for.
    pub fn region(&self) -> &str {
        &self.credential[self.scope.date + 1..self.scope.region]
    }

    fn day(&self) -> &str {
        &self.credential[self.scope.access_key + 1..self.scope.date]
    }

    fn service(&self) -> &str {
        &self.credential[self.scope.region + 1..self.scope.service]
    }

    /// Checks the signature with the secret of the access key that the head names.
    ///
    /// # Errors
    /// The refusal for the client.
    pub fn verify(
        &self,
        head: &Head,
        body: &[u8],
        now: UnixMillis,
        keys: &SigningKeys,
        secret_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<(), Failure> {
        self.verify_for(&["sqs", "sns", "sts"], (head, body), now, keys, secret_of)
    }

    fn verify_for(
        &self,
        services: &[&str],
        (head, body): (&Head, &[u8]),
        now: UnixMillis,
        keys: &SigningKeys,
        secret_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<(), Failure> {
        let signed_headers: SmallVec<[&str; SIGNED_HEADERS]> = self.signed_headers.split(';').collect();
        self.check_form(services, head, &signed_headers)?;
        let known = keys.get(&self.credential);
        let key = match &known {
            Some(key) => key.clone(),
            None => {
                let secret = secret_of(self.access_key()).filter(|secret| !secret.is_empty());
                self.key(&secret.ok_or(Failure::UnknownKey)?)
            }
        };
        // Compares in constant time.
        let mac = self.sign(key.clone(), head, &signed_headers, body);
        if unhex(&self.signature).is_none_or(|signature| mac.verify_slice(&signature).is_err()) {
            return Err(Failure::Signature(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
                 Key and signing method. Consult the service documentation for details."
                    .to_owned(),
            ));
        }
        self.check_time(now)?;
        if known.is_none() {
            keys.keep(&self.credential, key);
        }
        Ok(())
    }

    fn check_form(&self, services: &[&str], head: &Head, signed_headers: &[&str]) -> Result<(), Failure> {
        if !services.contains(&self.service()) {
            let text = format!("Credential should be scoped to correct service: '{}'.", services[0]);
            return Err(Failure::Signature(text));
        }
        let is_signed =
            |name: &HeaderName| signed_headers.iter().any(|signed| signed.eq_ignore_ascii_case(name.as_str()));
        let matters = |name: &&HeaderName| **name == HOST || head.headers.contains_key(*name);
        if let Some(unsigned) = MUST_BE_SIGNED.iter().filter(matters).find(|name| !is_signed(name)) {
            return Err(Failure::Signature(format!("'{unsigned}' must be a signed header.")));
        }
        // A header that is named thousands of times would be signed as often, whatever its length.
        if canonical::are_sorted(signed_headers) || canonical::are_different(signed_headers) {
            return Ok(());
        }
        Err(Failure::Signature("A header may be signed once only.".to_owned()))
    }

    fn check_time(&self, now: UnixMillis) -> Result<(), Failure> {
        let signed_at = read_basic(&self.date).filter(|_| self.date.starts_with(self.day()));
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

    /// Takes in what client and server sign: algorithm, date, scope and the canonical request's sum, a line each.
    fn sign(&self, key: Hmac<Sha256>, head: &Head, signed_headers: &[&str], body: &[u8]) -> Hmac<Sha256> {
        let is_unsigned = head.header(&CONTENT_SHA256) == Some(UNSIGNED_PAYLOAD);
        let payload: &[u8] = if is_unsigned { UNSIGNED_PAYLOAD.as_bytes() } else { &sum(body) };
        let canonical = canonical::request(head, (&self.signed_headers, signed_headers), payload);
        let scope = &self.credential[self.scope.access_key + 1..];
        let mut text = Vec::with_capacity(STRING_BYTES);
        for part in [ALGORITHM, &self.date, scope] {
            text.extend_from_slice(part.as_bytes());
            text.push(b'\n');
        }
        text.extend(sum(&canonical));
        key.chain_update(text)
    }

    fn key(&self, secret: &str) -> Hmac<Sha256> {
        let mut key = hmac(format!("AWS4{secret}").as_bytes());
        for part in [self.day(), self.region(), self.service(), END] {
            key = hmac(&key.chain_update(part.as_bytes()).finalize().into_bytes());
        }
        key
    }
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let mut parts = Self::default();
        for (name, value) in text.split(',').filter_map(|part| part.trim().split_once('=')) {
            let part = match name {
                "Credential" => &mut parts.credential,
                "SignedHeaders" => &mut parts.signed_headers,
                "Signature" => &mut parts.signature,
                _ => continue,
            };
            part.get_or_insert(value);
        }
        parts
    }
}

impl Scope {
    fn of(credential: &str) -> Result<Self, Failure> {
        // From the right: nothing forbids a slash in an access key.
        let mut slashes = credential.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
        let mut slash = || slashes.next();
        let (Some(service), Some(region), Some(date), Some(access_key)) = (slash(), slash(), slash(), slash()) else {
            return Err(Failure::IncompleteSignature(
                "Credential must have at least 5 slash-delimited elements.".to_owned(),
            ));
        };
        if &credential[service + 1..] != END {
            return Err(Failure::Signature(
                "Credential should be scoped with a valid terminator: 'aws4_request'.".into(),
            ));
        }
        Ok(Self { access_key, date, region, service })
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

/// SHA-256, in hexadecimal.
fn sum(bytes: &[u8]) -> [u8; 64] {
    digits(Sha256::digest(bytes).as_ref())
}

/// The bytes of a signature.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
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
