//! UNSUBSCRIBE (section 3.10). UNSUBACK is written by [`super::subscribe::put_codes`].

use super::Version;
use super::primitives::{fault_of, packet_id, string};
use super::properties::{Allowed, Bounds, id, properties};
use crate::reason::{Fault, Reason};

/// An UNSUBSCRIBE packet whose list was checked.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Unsubscribe<'a> {
    pub packet_id: u16,
    pub count: usize,
    list: &'a [u8],
}

/// Decodes what follows the fixed header; at most `count_max` filters.
pub fn decode(body: &[u8], version: Version, bounds: Bounds, count_max: usize) -> Result<Unsubscribe<'_>, Fault> {
    let (mut list, packet_id) = packet_id(body).map_err(fault_of)?;
    if version.is_v5() {
        list = properties(list, Allowed::these(&[id::USER]), bounds).map_err(fault_of)?.0;
    }
    let (mut rest, mut count) = (list, 0);
    while !rest.is_empty() {
        rest = string(rest).map_err(fault_of)?.0;
        count += 1;
    }
    if count == 0 {
        return Err(Fault::protocol("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]"));
    }
    if count > count_max {
        return Err(Fault::new(Reason::QUOTA_EXCEEDED, "filters in one UNSUBSCRIBE beyond limits.consumers_max"));
    }
    Ok(Unsubscribe { packet_id, count, list })
}

impl<'a> Unsubscribe<'a> {
    /// The filters in order.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut list = self.list;
        std::iter::from_fn(move || {
            let (rest, filter) = string(list).ok()?;
            list = rest;
            Some(filter)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bounds = Bounds { bytes_max: 100, user_max: 2 };
        let unsubscribe = decode(b"\0\x0A\0\0\x03a/b\0\x01#", Version::V5, bounds, 2).expect("good");
        assert_eq!(unsubscribe.filters().collect::<Vec<_>>(), ["a/b", "#"]);
        assert_eq!((unsubscribe.packet_id, unsubscribe.count), (10, 2));
        decode(b"\0\x0A\0", Version::V5, bounds, 2).expect_err("no filter");
        decode(b"\0\x0A\0\0\x03a/b\0\x01#", Version::V5, bounds, 1).expect_err("one too many");
    }
}
