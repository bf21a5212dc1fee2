//! Receipt handles: what settles a delivery, signed so that nobody can make one up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use crossdock_common::UnixMillis;
use crossdock_common::names::{DeliveryId, QueueId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const VERSION: u8 = 2;
const PLACE_BYTES: usize = 1 + 8 + 8 + 4 + 8;
const MAC_BYTES: usize = 16;

/// What a receipt handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub delivery: DeliveryId,
    pub received_at: UnixMillis,
}

/// Makes and reads receipt handles.
pub(crate) struct Receipts<'a>(pub &'a [u8]);

impl Receipts<'_> {
    /// The handle of a delivery: 60 characters. There is no hyphen in it, as in AWS's: Amazon's extended client for Python
    /// puts something before the handle and cuts at the last hyphen.
    pub(crate) fn issue(&self, queue: &str, Receipt { delivery, received_at }: Receipt) -> String {
        let mut bytes = Vec::with_capacity(PLACE_BYTES + MAC_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&delivery.queue.0.to_be_bytes());
        bytes.extend_from_slice(&delivery.position.to_be_bytes());
        bytes.extend_from_slice(&delivery.lease.to_be_bytes());
        bytes.extend_from_slice(&received_at.0.to_be_bytes());
        let mac = self.mac(queue, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        BASE64.encode(bytes)
    }

    /// What a handle says that this broker made for the queue of that name.
    pub(crate) fn read(&self, queue: &str, handle: &str) -> Option<Receipt> {
        let bytes = BASE64.decode(handle).ok().filter(|bytes| bytes.len() == PLACE_BYTES + MAC_BYTES)?;
        let (place, mac) = bytes.split_at(PLACE_BYTES);
        self.mac(queue, place).verify_truncated_left(mac).ok()?;
        let (version, place) = place.split_first()?;
        if *version != VERSION {
            return None;
        }
        let delivery = DeliveryId {
            queue: QueueId(u64::from_be_bytes(place[..8].try_into().ok()?)),
            position: u64::from_be_bytes(place[8..16].try_into().ok()?),
            lease: u32::from_be_bytes(place[16..20].try_into().ok()?),
        };
        Some(Receipt { delivery, received_at: UnixMillis(u64::from_be_bytes(place[20..].try_into().ok()?)) })
    }

    fn mac(&self, queue: &str, place: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of every length.
        let mac = Hmac::<Sha256>::new_from_slice(self.0).unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
        mac.chain_update(place).chain_update(queue.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_no_hyphen() {
        let receipts = Receipts(b"key");
        for lease in 0..100 {
            let delivery = DeliveryId { queue: QueueId(u64::MAX), position: u64::MAX / 3, lease };
            let handle = receipts.issue("q", Receipt { delivery, received_at: UnixMillis(u64::MAX) });
            assert!(handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte)), "{handle}");
        }
    }

    #[test]
    fn only_own_handles_are_read() {
        let receipts = Receipts(b"key");
        let delivery = DeliveryId { queue: QueueId(0x102), position: 77, lease: 3 };
        let receipt = Receipt { delivery, received_at: UnixMillis(1_767_323_045_678) };
        let handle = receipts.issue("q", receipt);
        assert!(handle.len() <= 1_024);
        assert_eq!(receipts.read("q", &handle), Some(receipt));
        assert_eq!(receipts.read("another", &handle), None);
        assert_eq!(Receipts(b"other").read("q", &handle), None);
        for index in 0..handle.len() {
            let mut changed = handle.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(receipts.read("q", std::str::from_utf8(&changed).unwrap()), None, "{index}");
            assert_eq!(receipts.read("q", &handle[..index]), None);
        }
        assert_eq!(receipts.read("q", "not a handle"), None);
    }
}
