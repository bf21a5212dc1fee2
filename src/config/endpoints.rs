//! Where messages may be sent, as a setting.

use super::network::Networks;
use super::scalar::{Scalar, first_unlike, quoted};
use super::tree::Value;

const LOOPBACK: &str = "loopback";
const PRIVATE: &str = "private";
const LINK_LOCAL: &str = "link_local";

/// Kinds of addresses by name, and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(into = "Vec<String>")]
pub struct AllowedEndpoints {
    pub loopback: bool,
    pub private: bool,
    /// Without those of metadata services.
    pub link_local: bool,
    pub networks: Networks,
}

impl AllowedEndpoints {
    /// `None` if a word is none.
    pub fn from_words(words: &[String]) -> Option<Self> {
        let is_class = |word: &&String| [LOOPBACK, PRIVATE, LINK_LOCAL].contains(&word.as_str());
        let has = |class: &str| words.iter().any(|word| word == class);
        let networks = words.iter().filter(|word| !is_class(word));
        let networks = Networks::from_texts(networks)?;
        Some(Self { loopback: has(LOOPBACK), private: has(PRIVATE), link_local: has(LINK_LOCAL), networks })
    }
}

impl From<AllowedEndpoints> for Vec<String> {
    fn from(allowed: AllowedEndpoints) -> Self {
        let classes = [(LOOPBACK, allowed.loopback), (PRIVATE, allowed.private), (LINK_LOCAL, allowed.link_local)];
        let classes = classes.into_iter().filter(|(_, is)| *is).map(|(word, _)| word.to_owned());
        classes.chain(Self::from(allowed.networks)).collect()
    }
}

impl Scalar for AllowedEndpoints {
    fn expected() -> String {
        "an array of \"loopback\", \"private\", \"link_local\", networks and addresses".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::from_words(&Vec::<String>::parse(value)?)
    }
    fn to_toml(&self) -> Option<String> {
        let words: Vec<String> = Vec::from(self.clone());
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        Some(format!("[{}]", words.join(", ")))
    }
    fn wrong_element(value: &Value) -> Option<(&'static str, usize)> {
        let is_one = |text: String| Self::from_words(&[text]).is_some();
        Some(("\"loopback\", \"private\", \"link_local\", a network or an address", first_unlike(value, is_one)?))
    }
}
