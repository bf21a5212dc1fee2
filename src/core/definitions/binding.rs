//! Bindings.

use std::sync::Arc;

use crossdock_common::definition::BindingSpec;
use crossdock_common::names::QueueId;
use crossdock_common::{Filter, Name, Refusal, Sight, Value};

use crossdock_common::value::lookup;

use super::standing::Aim;
use crate::selector::{self, Selector};
use crate::shard::Formats;
use crate::wording::type_name;

/// A binding that exists.
pub(crate) struct Binding {
    /// As declared.
    pub spec: Arc<BindingSpec>,
    /// Where it leads.
    pub target: Target,
    /// Bindings of a vhost are numbered in the order in which they were made.
    pub serial: u64,
    /// How a headers exchange matches it.
    pub headers: HeadersMatch,
    /// Only these messages follow it. Boxed: few bindings have one.
    selector: Option<Box<Selector>>,
    /// And of these, those that a protocol lets through.
    filter: Option<Box<dyn Filter>>,
}

/// Where a binding leads.
#[derive(Debug)]
pub(crate) enum Target {
    Queue(QueueId),
    Exchange(Name),
    /// A queue that need not exist.
    Standing(Aim),
}

/// RabbitMQ's `x-match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadersMatch {
    any: bool,
    with_x: bool,
}

impl Binding {
    pub(crate) fn new(spec: BindingSpec, target: Target, serial: u64, formats: &Formats) -> Self {
        // Only headers exchanges look at it, and they have checked it.
        let headers = HeadersMatch::parse(lookup(&spec.arguments, "x-match")).unwrap_or_default();
        // It was checked when the binding was made.
        let selector = Selector::of(&spec.arguments).unwrap_or_default().map(Box::new);
        let filter = formats.iter().find_map(|format| format.filter(&spec.attributes));
        Self { spec: Arc::new(spec), target, serial, headers, selector, filter }
    }

    /// Whether a message follows it depends on more than the message's key and headers.
    pub(crate) fn is_selective(&self) -> bool {
        self.selector.is_some() || self.filter.is_some()
    }

    /// Whether the message is one of those that follow it.
    pub(crate) fn selects(&self, sight: &mut Sight<'_>) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(sight.message))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(sight))
    }

    /// Whether the message's headers satisfy the arguments. An argument without a value asks only that the header exists.
    pub(crate) fn headers_match(&self, headers: &crossdock_common::Table) -> bool {
        let mut wanted = self.spec.arguments.iter().filter(|(name, _)| self.headers.considers(name));
        let fits = |(name, value): &(crossdock_common::Text, Value)| {
            lookup(headers, name).is_some_and(|have| *value == Value::Null || same(have, value))
        };
        if self.headers.any { wanted.any(fits) } else { wanted.all(fits) }
    }
}

impl HeadersMatch {
    /// # Errors
    /// The binding's `x-match` is not one that RabbitMQ knows.
    pub(crate) fn check(spec: &BindingSpec) -> Result<(), Refusal> {
        Self::parse(lookup(&spec.arguments, "x-match")).map(drop)
    }

    fn parse(value: Option<&Value>) -> Result<Self, Refusal> {
        let Some(value) = value else { return Ok(Self { any: false, with_x: false }) };
        let word = value.as_str();
        match word {
            Some("all") => Ok(Self { any: false, with_x: false }),
            Some("any") => Ok(Self { any: true, with_x: false }),
            Some("all-with-x") => Ok(Self { any: false, with_x: true }),
            Some("any-with-x") => Ok(Self { any: true, with_x: true }),
            Some(word) => Err(Refusal::PreconditionFailed(format!(
                "Invalid x-match field value <<\"{word}\">>; expected all, any, all-with-x, or any-with-x"
            ))),
            None => Err(Refusal::PreconditionFailed(format!(
                "Invalid x-match field type {} (value {}); expected longstr",
                type_name(value),
                crossdock_common::value_text::to_text(value)
            ))),
        }
    }

    fn considers(self, name: &str) -> bool {
        name != "x-match" && name != selector::ARGUMENT && (self.with_x || !name.starts_with("x-"))
    }
}

/// Numbers are compared by value, whatever their width on the wire.
fn same(have: &Value, wanted: &Value) -> bool {
    match (have.as_i64(), wanted.as_i64()) {
        (Some(have), Some(wanted)) => have == wanted,
        _ => have == wanted,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use crossdock_common::definition::Destination;

    use super::*;

    pub(crate) fn binding(key: &str) -> Arc<Binding> {
        binding_with(key, vec![])
    }

    fn binding_with(key: &str, arguments: crossdock_common::Table) -> Arc<Binding> {
        let spec = BindingSpec {
            source: "x".into(),
            destination: Destination::Queue("q".into()),
            key: Bytes::copy_from_slice(key.as_bytes()),
            arguments,
            announced: false,
            attributes: vec![],
        };
        Arc::new(Binding::new(spec, Target::Queue(QueueId(1)), 1, &Formats::default()))
    }

    #[test]
    fn headers_all_any_and_with_x() {
        let table = |pairs: &[(&str, Value)]| pairs.iter().map(|(n, v)| ((*n).into(), v.clone())).collect::<Vec<_>>();
        let have = table(&[("a", Value::I32(1)), ("b", Value::string("x")), ("x-c", Value::Bool(true))]);
        let fits = |pairs: &[(&str, Value)]| binding_with("", table(pairs)).headers_match(&have);
        let mode = |word: &'static str| ("x-match", Value::string(word));
        assert!(fits(&[mode("all"), ("a", Value::I64(1)), ("b", Value::Null)]));
        assert!(!fits(&[mode("all"), ("a", Value::I64(2)), ("b", Value::Null)]));
        assert!(fits(&[mode("any"), ("a", Value::I64(2)), ("b", Value::Null)]));
        assert!(!fits(&[mode("any"), ("x-c", Value::Bool(true))]), "x- headers do not count");
        assert!(fits(&[mode("any-with-x"), ("x-c", Value::Bool(true))]));
        assert!(fits(&[]), "no arguments match everything");
        assert!(!fits(&[mode("any")]), "any of nothing matches nothing");
    }
}
