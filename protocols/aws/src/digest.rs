//! The MD5 sums that SDKs check. MD5 is AWS's choice; nothing here relies on it for safety.

use ::md5::{Digest, Md5};

use crate::convert::attributes::{Attribute, AttributeValue};

/// A UUID's digits and the lines between them.
const UUID_BYTES: usize = 36;

/// The sum of some bytes, in hexadecimal.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// The sum of attributes: sorted by name; of each the name, the type and the value with their lengths, and 1 for text or 2
/// for bytes before the value. `None` when there are no attributes.
pub(crate) fn md5_of_attributes(attributes: &[Attribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<&Attribute> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut digest = Md5::new();
    for attribute in sorted {
        put(&mut digest, attribute.name.as_bytes());
        put(&mut digest, attribute.data_type.as_bytes());
        match &attribute.value {
            AttributeValue::Text(text) => {
                digest.update([1]);
                put(&mut digest, text.as_bytes());
            }
            AttributeValue::Binary(bytes) => {
                digest.update([2]);
                put(&mut digest, bytes);
            }
        }
    }
    Some(hex(&digest.finalize()))
}

/// A name-based UUID (RFC 9562 version 3) that a delivery of another protocol's message has for ever.
pub(crate) fn uuid_of_place(queue: u64, position: u64) -> u128 {
    let digest = Md5::new().chain_update(queue.to_be_bytes()).chain_update(position.to_be_bytes()).finalize();
    let bits = u128::from_be_bytes(digest.into());
    (bits & !(0xf << 76) & !(0x3 << 62)) | (0x3 << 76) | (0x2 << 62)
}

/// A UUID as text.
pub(crate) fn uuid_text(uuid: u128) -> String {
    let digits: [u8; 32] = digits(&uuid.to_be_bytes());
    let mut text = Vec::with_capacity(UUID_BYTES);
    text.extend_from_slice(&digits[..8]);
    for group in [8..12, 12..16, 16..20, 20..32] {
        text.push(b'-');
        text.extend_from_slice(&digits[group]);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The digits of a number of bytes that is known, in lower-case hexadecimal: two for each.
pub(crate) fn digits<const DIGITS: usize>(bytes: &[u8]) -> [u8; DIGITS] {
    let mut text = [b'0'; DIGITS];
    write_digits(bytes, &mut text);
    text
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    write_digits(bytes, &mut text);
    // Digits are UTF-8.
    String::from_utf8(text).unwrap_or_default()
}

fn write_digits(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn put(digest: &mut Md5, bytes: &[u8]) {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1321, appendix A.5.
    #[test]
    fn md5_vectors() {
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_hex(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(md5_hex(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    /// Sums that AWS gave, as moto and LocalStack record them.
    #[test]
    fn attribute_vectors() {
        let text = |name: &str, data_type: &str, value: &str| Attribute {
            name: name.into(),
            data_type: data_type.into(),
            value: AttributeValue::Text(value.into()),
        };
        let timestamp = text("timestamp", "Number", "1493147359900");
        assert_eq!(md5_of_attributes(&[timestamp]).unwrap(), "235c5c510d26fb653d073faed50ae77c");
        assert_eq!(md5_of_attributes(&[]), None);
    }

    #[test]
    fn places_have_their_own_uuids() {
        assert_eq!(uuid_text(uuid_of_place(1, 2)), uuid_text(uuid_of_place(1, 2)));
        assert_ne!(uuid_of_place(1, 2), uuid_of_place(2, 1));
        assert_eq!(uuid_text(uuid_of_place(1, 2)).as_bytes()[14], b'3');
        assert_eq!(uuid_text(0x0123_4567_89ab_cdef_0011_2233_4455_6677), "01234567-89ab-cdef-0011-223344556677");
    }
}
