//! Requests of SQS as an SDK signs them: AWS JSON 1.0, Signature Version 4.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The key that the brokers under load know.
pub const ACCESS_KEY: &str = "AKIALOADLOADLOADLOAD";
/// Its secret.
pub const SECRET: &str = "load";

const REGION: &str = "us-east-1";

/// Signs for one port, at the moment when it was made: signatures hold for 15 minutes.
pub struct Signer {
    host: String,
    /// `20260102T030405Z`
    moment: String,
    key: Vec<u8>,
}

impl Signer {
    /// # Errors
    /// The clock is before 1970.
    pub fn new(port: u16) -> Result<Self> {
        let moment = moment(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
        let steps = [&moment[..8], REGION, "sqs", "aws4_request"];
        let key = steps.iter().fold(format!("AWS4{SECRET}").into_bytes(), |key, step| mac(&key, step));
        Ok(Self { host: format!("127.0.0.1:{port}"), moment, key })
    }

    /// The whole request.
    pub fn request(&self, action: &str, body: &str) -> Vec<u8> {
        let Self { host, moment, .. } = self;
        let headers = format!(
            "content-type:application/x-amz-json-1.0\nhost:{host}\nx-amz-date:{moment}\nx-amz-target:AmazonSQS.{action}\n"
        );
        let signed = "content-type;host;x-amz-date;x-amz-target";
        let canonical = format!("POST\n/\n\n{headers}\n{signed}\n{}", hex(&Sha256::digest(body)));
        let scope = format!("{}/{REGION}/sqs/aws4_request", &moment[..8]);
        let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let signature = hex(&mac(&self.key, &to_sign));
        let length = body.len();
        let mut request = String::from("POST / HTTP/1.1\r\n");
        request.push_str(&headers.replace('\n', "\r\n"));
        let _ = write!(
            request,
            "content-length:{length}\r\nauthorization:AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={signed}, \
             Signature={signature}\r\n\r\n{body}"
        );
        request.into_bytes()
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length.
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The calendar by days since 1 March of the year 0.
fn moment(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400 + 719_468, unix_s % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{:02}Z", second % 60)
}
