//! Networks, as a setting.

use std::net::IpAddr;

use ipnet::IpNet;

use super::scalar::{Scalar, first_unlike, quoted};
use super::tree::Value;

/// Networks such as `10.0.0.0/8`, and single addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(into = "Vec<String>")]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None` if a text is none of both.
    pub(super) fn from_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Option<Self> {
        texts.into_iter().map(|text| network(text)).collect::<Option<_>>().map(Self)
    }

    /// Whether the address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl From<Networks> for Vec<String> {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(ToString::to_string).collect()
    }
}

impl Scalar for Networks {
    fn expected() -> String {
        "an array of networks and addresses such as [\"10.0.0.0/8\", \"::1\"]".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::from_texts(&Vec::<String>::parse(value)?)
    }
    fn to_toml(&self) -> Option<String> {
        let texts: Vec<String> = self.0.iter().map(|network| quoted(&network.to_string())).collect();
        Some(format!("[{}]", texts.join(", ")))
    }
    fn wrong_element(value: &Value) -> Option<(&'static str, usize)> {
        Some(("a network or an address", first_unlike(value, |text| network(&text).is_some())?))
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_networks() {
        let networks =
            Networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"].iter().filter_map(|text| network(text)).collect());
        for (address, is_in) in [
            ("10.1.2.3", true),
            ("11.1.2.3", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), is_in, "{address}");
        }
        assert!(network("10.0.0.0/33").is_none() && network("everyone").is_none());
    }
}
