//! Values that conditions compare: numbers, times, addresses, truths.

use core::net::IpAddr;
use std::cmp::Ordering;

use crate::calendar::unix_seconds;

/// A number, compared without rounding where both are whole.
pub(super) fn compare_numbers(one: &str, other: &str) -> Option<Ordering> {
    if let (Ok(one), Ok(other)) = (one.parse::<i128>(), other.parse::<i128>()) {
        return Some(one.cmp(&other));
    }
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    number(one)?.partial_cmp(&number(other)?)
}

pub(super) fn is_number(text: &str) -> bool {
    compare_numbers(text, "0").is_some()
}

/// Times in ISO 8601 or as seconds since 1970.
pub(super) fn compare_times(one: &str, other: &str) -> Option<Ordering> {
    Some(time(one)?.cmp(&time(other)?))
}

pub(super) fn is_time(text: &str) -> bool {
    time(text).is_some()
}

fn time(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| unix_seconds(text))
}

/// Addresses with a prefix (CIDR), or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: u128,
    bits: u32,
    is_v4: bool,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
            None => most,
        };
        Some(Self { address: number(address), bits, is_v4: address.is_ipv4() })
    }

    pub(crate) fn has(self, address: IpAddr) -> bool {
        let width = if self.is_v4 { 32 } else { 128 };
        let differs = (self.address ^ number(address)).checked_shr(width - self.bits).unwrap_or(0);
        address.is_ipv4() == self.is_v4 && differs == 0
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_ordered() {
        assert_eq!(compare_numbers("10", "9"), Some(Ordering::Greater));
        assert_eq!(compare_numbers("1.5", "1.50"), Some(Ordering::Equal));
        assert_eq!(compare_numbers("x", "1"), None);
        assert_eq!(compare_times("2026-01-02T03:04:05Z", "1767323045"), Some(Ordering::Equal));
        assert_eq!(compare_times("2026-01-02", "2026-01-02T00:00:01Z"), Some(Ordering::Less));
        assert_eq!(compare_times("soon", "1"), None);
    }

    #[test]
    fn addresses_are_in_networks() {
        let has = |network: &str, address: &str| Network::parse(network).unwrap().has(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.1.2") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1") && has("::/0", "::1"));
        assert!(has("1.2.3.4", "1.2.3.4") && !has("1.2.3.4", "1.2.3.5"));
        assert!(has("2001:db8::/32", "2001:db8:1::") && !has("2001:db8::/32", "2001:db9::"));
        assert!(["1.2.3", "1.2.3.4/33", "a/8", ""].into_iter().all(|text| Network::parse(text).is_none()));
    }
}
