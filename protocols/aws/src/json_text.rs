//! JSON that is a text within a request: policies, and messages with a text for each protocol.

use crossdock_common::json::values_max;
use serde_json::Value as Json;

/// Most values of one JSON text, a request's body included: ten batch entries with ten attributes each have a tenth of it.
pub(crate) const VALUES_MAX: usize = 20_000;

/// It would cost a hundred times its length. A short text has no room for so many.
pub(crate) fn is_too_much(text: &[u8]) -> bool {
    text.len() >= VALUES_MAX && values_max(text) > VALUES_MAX
}

/// What a text says; `None` if it is no JSON, or too much of it.
pub(crate) fn parse(text: &str) -> Option<Json> {
    parse_bytes(text.as_bytes())
}

/// The same of what may be no text.
pub(crate) fn parse_bytes(bytes: &[u8]) -> Option<Json> {
    if is_too_much(bytes) { None } else { serde_json::from_slice(bytes).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_limit() {
        let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(parse(&list(VALUES_MAX - 1)).is_some() && parse(&list(VALUES_MAX)).is_none());
        assert_eq!(parse("{"), None);
    }
}
