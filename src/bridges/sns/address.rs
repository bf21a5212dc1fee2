//! Where messages may be sent. Pure: addresses go in that were resolved, so no spelling of a host gets past it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::AllowedEndpoints;

/// Why nothing is sent to an address, in the words of the setting `aws.deliveries.allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Public,
    Loopback,
    Private,
    LinkLocal,
    /// Where clouds tell machines their secrets.
    Metadata,
    /// Addresses of nobody: unspecified, multicast, documentation, reserved.
    Nobody,
}

/// Addresses of metadata services that are not link-local: AWS over IPv6, Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254);

impl Class {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        match (a, b, c) {
            _ if METADATA_V4.contains(&address) => Self::Metadata,
            (127, ..) => Self::Loopback,
            (169, 254, _) => Self::LinkLocal,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Self::Private,
            (0 | 224.., ..) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => {
                Self::Nobody
            }
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if address == METADATA_V6 {
            return Self::Metadata;
        }
        if address == Ipv6Addr::LOCALHOST {
            return Self::Loopback;
        }
        if let Some(inner) = embedded(address) {
            return Self::of_v4(inner);
        }
        match address.segments() {
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            // Unique local, and the site-local ones before them.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            // Only 2000::/3 is given to anybody, and of that not what is for documentation.
            [0x2001, 0x0db8, ..] | [0x3fff, ..] => Self::Nobody,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Nobody,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Nobody => "reserved",
        }
    }
}

/// The IPv4 address that a translator would send to: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0x64, 0xff9b, 0 | 1, .., high, low] | [0x2002, high, low, ..] => (high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Which addresses may get messages.
#[derive(Clone, Debug)]
pub(super) struct AddressRules {
    allowed: AllowedEndpoints,
    /// Development mode: nothing but the machine and its network can be meant.
    dev: bool,
}

impl AddressRules {
    pub(super) fn new(allowed: AllowedEndpoints, dev: bool) -> Self {
        Self { allowed, dev }
    }

    /// # Errors
    /// Why nothing is sent there.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), String> {
        let class = Class::of(address);
        let allowed = match class {
            Class::Public => true,
            Class::Loopback => self.dev || self.allowed.loopback,
            Class::Private => self.dev || self.allowed.private,
            Class::LinkLocal => self.allowed.link_local,
            Class::Metadata | Class::Nobody => false,
        };
        if allowed || self.allowed.networks.contains(address) {
            return Ok(());
        }
        Err(format!("deliveries to {} addresses are not allowed (aws.deliveries.allow)", class.word()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        Class::of(text.parse().expect(text))
    }

    #[test]
    fn addresses_are_what_they_are_however_they_are_written() {
        for (class_of, addresses) in [
            (Class::Metadata, &["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"][..]),
            (Class::Metadata, &["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254", "100.100.100.200"]),
            (Class::LinkLocal, &["169.254.0.1", "169.254.170.2", "fe80::1", "febf::1"]),
            (Class::Loopback, &["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]),
            (Class::Private, &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12::1"]),
            (Class::Nobody, &["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1", "0.1.2.3"]),
            (Class::Nobody, &["192.0.2.1", "198.18.0.1", "203.0.113.1", "2001:db8::1", "4000::1"]),
            (Class::Public, &["8.8.8.8", "172.32.0.1", "172.15.0.1", "192.167.1.1", "100.128.0.1", "2606:4700::1"]),
        ] {
            for address in addresses {
                assert_eq!(class(address), class_of, "{address}");
            }
        }
    }

    #[test]
    fn what_is_not_named_is_not_allowed() {
        let check = |words: &[&str], dev, address: &str| {
            let words = words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let allowed = AllowedEndpoints::from_words(&words).expect("words");
            AddressRules::new(allowed, dev).check(address.parse().expect(address)).is_ok()
        };
        assert!(check(&[], false, "8.8.8.8") && !check(&[], false, "127.0.0.1") && !check(&[], false, "10.0.0.1"));
        assert!(check(&[], true, "127.0.0.1") && check(&[], true, "10.0.0.1"));
        assert!(check(&["loopback"], false, "::1") && !check(&["loopback"], false, "10.0.0.1"));
        assert!(check(&["10.1.0.0/16"], false, "10.1.2.3") && !check(&["10.1.0.0/16"], false, "10.2.0.1"));
        for hidden in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"] {
            assert!(!check(&["loopback", "private", "link_local"], true, hidden), "{hidden}");
        }
        assert!(check(&["169.254.169.254"], false, "169.254.169.254"));
        assert!(!check(&["private"], true, "169.254.1.1") && check(&["link_local"], false, "169.254.1.1"));
    }
}
