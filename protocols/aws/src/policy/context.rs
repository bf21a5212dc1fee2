//! The circumstances of a request: what conditions look at.

use std::collections::BTreeMap;

/// What requests are known to have or not to have.
const KNOWN: [&str; 17] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalservicename",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:userid",
    "aws:username",
    "sns:endpoint",
    "sns:protocol",
];

/// Whether a condition on that key says something here. `aws:SourceOwner` is not among them: SNS's default statement asks for it and means
/// the owner's account, whose permissions decide.
pub(super) fn is_known(key: &str) -> bool {
    KNOWN.contains(&key.to_ascii_lowercase().as_str())
}

/// Values by condition key. Keys have no case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// The same with one more value of a key.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    pub(super) fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}
