//! What SNS keeps in the attributes of an exchange: entries of names and values.

use crossdock_common::definition::{ExchangeInfo, ExchangeSpec};
use crossdock_common::value::lookup;
use crossdock_common::{Table, Text, Value};

use super::super::publish::MESSAGE_BYTES_MAX;
use super::KEPT;

/// Sets values in an entry of an exchange's attributes.
pub(in crate::sns) fn put(attributes: &mut Table, entry: &'static str, given: &[(&str, &str)]) {
    if given.is_empty() {
        return;
    }
    let at = attributes.iter().position(|(name, _)| &**name == entry);
    let mut kept = match at.map(|at| attributes.remove(at)) {
        Some((_, Value::Map(kept))) => kept,
        _ => Table::new(),
    };
    for (name, value) in given {
        kept.retain(|(known, _)| **known != **name);
        kept.push((Text::from(*name), Value::string(*value)));
    }
    attributes.push((Text::from_static(entry), Value::Map(kept)));
}

/// Takes values away.
pub(in crate::sns) fn remove(attributes: &mut Table, entry: &str, names: &[&str]) {
    if let Some((_, Value::Map(kept))) = attributes.iter_mut().find(|(name, _)| &**name == entry) {
        kept.retain(|(known, _)| !names.contains(&&**known));
    }
}

/// A value of an entry.
pub(in crate::sns) fn kept<'a>(info: &'a ExchangeInfo, entry: &str, name: &str) -> Option<&'a str> {
    kept_in(&info.spec.attributes, entry, name)
}

/// The access policy among an exchange's attributes.
pub(crate) fn policy_in(attributes: &Table) -> Option<&str> {
    kept_in(attributes, KEPT, "Policy")
}

fn kept_in<'a>(attributes: &'a Table, entry: &str, name: &str) -> Option<&'a str> {
    match lookup(attributes, entry)? {
        Value::Map(kept) => lookup(kept, name)?.as_str(),
        _ => None,
    }
}

/// Largest message of a topic, if one was set.
pub(in crate::sns) fn message_bytes_max(info: &ExchangeInfo) -> Option<usize> {
    kept(info, KEPT, "MaximumMessageSize")?.parse().ok()
}

/// Whether its messages may be larger than SNS's usually are.
pub(in crate::sns) fn is_large(info: &ExchangeInfo) -> bool {
    message_bytes_max(info).is_some_and(|bytes| bytes > MESSAGE_BYTES_MAX)
}

/// All values of an entry.
pub(in crate::sns) fn all_kept(info: &ExchangeInfo, entry: &str) -> Vec<(String, String)> {
    let Some(Value::Map(kept)) = lookup(&info.spec.attributes, entry) else { return Vec::new() };
    kept.iter().filter_map(|(name, value)| Some((name.to_string(), value.as_str()?.to_owned()))).collect()
}

/// The DeliveryPolicy of a topic, if one was set.
pub(in crate::sns) fn delivery_policy(info: &ExchangeInfo) -> Option<&str> {
    kept(info, KEPT, "DeliveryPolicy").filter(|policy| !policy.is_empty())
}

/// The SignatureVersion of a topic, if one was set.
pub(in crate::sns) fn signature_version(info: &ExchangeInfo) -> Option<&str> {
    kept(info, KEPT, "SignatureVersion")
}

/// One of these attributes of an exchange as it was declared.
pub(in crate::sns) fn kept_with<'a>(spec: &'a ExchangeSpec, name: &str) -> Option<&'a str> {
    kept_in(&spec.attributes, KEPT, name)
}
