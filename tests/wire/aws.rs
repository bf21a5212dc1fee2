//! AWS Signature Version 4 by hand: what is sent and what is signed are said apart, so that they can differ.

use std::io::Result;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::http::exchange;

const HOST: &str = "localhost";
const REGION: &str = "eu-west-1";
const DAY_S: u64 = 86_400;

/// A GET that somebody signs.
#[derive(Clone, Debug)]
pub struct Draft {
    pub access_key: String,
    pub secret: String,
    pub service: &'static str,
    /// `20260102T030405Z`.
    pub date: String,
    /// As it is sent.
    pub path: String,
    /// As it is signed.
    pub canonical_path: String,
    pub query: String,
    pub canonical_query: String,
    pub signed_headers: String,
    /// Beside host, date and authorization.
    pub more_headers: String,
}

impl Draft {
    /// With everything right. The parameters are in order and encoded.
    pub fn new(access_key: &str, secret: &str, query: &str) -> Self {
        Self {
            access_key: access_key.to_owned(),
            secret: secret.to_owned(),
            service: "sqs",
            date: basic(now_s()),
            path: "/".to_owned(),
            canonical_path: "/".to_owned(),
            query: query.to_owned(),
            canonical_query: query.to_owned(),
            signed_headers: "host;x-amz-date".to_owned(),
            more_headers: String::new(),
        }
    }

    /// Signed so many seconds ago; in the future if it is negative.
    pub fn ago(mut self, seconds: i64) -> Self {
        self.date = basic(now_s().saturating_add_signed(-seconds));
        self
    }

    /// The bytes of the request, with the signature in its header.
    pub fn bytes(&self) -> Vec<u8> {
        let (credential, signed) = (self.credential(), &self.signed_headers);
        let authorization = format!(
            "authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={}\r\n",
            self.signature(&self.canonical_query)
        );
        self.request(&self.query, &format!("x-amz-date: {}\r\n{authorization}", self.date))
    }

    /// The same with the signature in the query, good for so long.
    pub fn presigned_bytes(&self, expires: &str) -> Vec<u8> {
        let credential = self.credential().replace('/', "%2F");
        let signing = format!(
            "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders=host",
            self.date
        );
        let draft = Self { signed_headers: "host".to_owned(), ..self.clone() };
        let signature = draft.signature(&format!("{}{signing}", self.canonical_query));
        self.request(&format!("{}{signing}&X-Amz-Signature={signature}", self.query), "")
    }

    /// Sends it; gives the whole answer.
    pub fn send(&self, port: u16) -> Result<String> {
        exchange(port, &self.bytes())
    }

    fn request(&self, query: &str, headers: &str) -> Vec<u8> {
        let Self { path, more_headers, .. } = self;
        format!("GET {path}?{query} HTTP/1.1\r\nhost: {HOST}\r\n{headers}{more_headers}connection: close\r\n\r\n")
            .into_bytes()
    }

    fn day(&self) -> &str {
        self.date.get(..8).unwrap_or(&self.date)
    }

    fn scope(&self) -> String {
        format!("{}/{REGION}/{}/aws4_request", self.day(), self.service)
    }

    fn credential(&self) -> String {
        format!("{}/{}", self.access_key, self.scope())
    }

    fn signature(&self, query: &str) -> String {
        let header = |name: &str| match name {
            "host" => format!("host:{HOST}\n"),
            "x-amz-date" => format!("x-amz-date:{}\n", self.date),
            other => format!("{other}:\n"),
        };
        let headers: String = self.signed_headers.split(';').map(header).collect();
        let (path, signed) = (&self.canonical_path, &self.signed_headers);
        let canonical = format!("GET\n{path}\n{query}\n{headers}\n{signed}\n{}", hex(&Sha256::digest(b"")));
        let sum = hex(&Sha256::digest(canonical));
        let mut key = hmac(format!("AWS4{}", self.secret).as_bytes(), self.day());
        for part in [REGION, self.service, "aws4_request"] {
            key = hmac(&key, part);
        }
        hex(&hmac(&key, &format!("AWS4-HMAC-SHA256\n{}\n{}\n{sum}", self.date, self.scope())))
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A time in ISO 8601's basic format.
fn basic(unix_s: u64) -> String {
    let (mut year, mut day) = (1970, unix_s / DAY_S);
    let days_of = |year: u64| if year.is_multiple_of(4) { 366 } else { 365 };
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let february = days_of(year) - 337;
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (unix_s % DAY_S / 3600, unix_s % 3600 / 60, unix_s % 60);
    format!("{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", day + 1)
}
