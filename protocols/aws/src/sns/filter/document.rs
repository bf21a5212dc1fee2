//! Rules over a document: all keys, and of each any rule.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::numeric::{Range, compare};
use crate::policy::Network;

/// All of these have to hold.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Node {
    pub keys: Vec<(String, Keyed)>,
    /// Of each of these, one has to hold.
    pub either: Vec<Vec<Node>>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Keyed {
    /// One of these has to hold.
    Any(Vec<Match>),
    Nested(Node),
}

/// What is said of one value.
#[derive(Debug, PartialEq)]
pub(super) enum Match {
    /// Text, a number, a truth or null.
    Exact(Json),
    Prefix(String),
    Suffix(String),
    /// In lower case.
    IgnoringCase(String),
    AnythingBut(Vec<Json>),
    AnythingButPrefix(Vec<String>),
    Numeric(Range),
    Cidr(Network),
    Exists(bool),
}

impl Node {
    /// It asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.either.is_empty()
    }

    pub(super) fn matches(&self, document: &Json) -> bool {
        self.keys.iter().all(|(key, keyed)| keyed.matches(document.get(key)))
            && self.either.iter().all(|nodes| nodes.iter().any(|node| node.matches(document)))
    }
}

impl Keyed {
    fn matches(&self, value: Option<&Json>) -> bool {
        match self {
            Self::Any(all) => {
                let mut values = Vec::new();
                value.into_iter().for_each(|value| flatten(value, &mut values));
                all.iter().any(|one| one.holds(value.is_some(), &values))
            }
            Self::Nested(node) => match value {
                Some(Json::Array(items)) => items.iter().any(|item| self.matches(Some(item))),
                Some(object @ Json::Object(_)) => node.matches(object),
                // What is said of keys that do not exist can be true of it.
                None => node.matches(&Json::Null),
                Some(_) => false,
            },
        }
    }
}

fn flatten<'a>(value: &'a Json, into: &mut Vec<&'a Json>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| flatten(item, into)),
        one => into.push(one),
    }
}

impl Match {
    fn holds(&self, exists: bool, values: &[&Json]) -> bool {
        match self {
            Self::Exists(wanted) => *wanted == exists,
            other => values.iter().any(|value| !value.is_object() && other.is(value)),
        }
    }

    fn is(&self, value: &Json) -> bool {
        let text = value.as_str();
        match self {
            Self::Exact(wanted) => is_same(wanted, value),
            Self::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix)),
            Self::Suffix(suffix) => text.is_some_and(|text| text.ends_with(suffix)),
            Self::IgnoringCase(wanted) => text.is_some_and(|text| text.to_lowercase() == *wanted),
            Self::AnythingBut(all) => !all.iter().any(|unwanted| is_same(unwanted, value)),
            Self::AnythingButPrefix(all) => text.is_some_and(|text| !all.iter().any(|one| text.starts_with(one))),
            Self::Numeric(range) => value.is_number() && range.has(value),
            Self::Cidr(network) => text.and_then(|text| text.parse().ok()).is_some_and(|at| network.has(at)),
            Self::Exists(_) => false,
        }
    }
}

/// Numbers are the same whatever they are written like.
fn is_same(one: &Json, other: &Json) -> bool {
    if one.is_number() && other.is_number() { compare(one, other) == Some(Ordering::Equal) } else { one == other }
}
