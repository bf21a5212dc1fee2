//! Conditions: an operator, a key, and the values that are wanted of it.

use std::cmp::Ordering;

use super::context::{Context, is_known};
use super::pattern::{Pattern, resolve, resolve_pattern};
use super::value::{Network, compare_numbers, compare_times, is_number, is_time, truth};

/// One key of one operator.
#[derive(Debug)]
pub(super) struct Condition {
    operator: Operator,
    key: String,
    wanted: Vec<String>,
}

/// `ForAnyValue:StringNotLikeIfExists` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    of_many: OfMany,
    kind: Kind,
    is_negated: bool,
    if_exists: bool,
}

/// What is said of a key that may have several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfMany {
    Unsaid,
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    TextIgnoringCase,
    TextLike,
    Number(&'static [Ordering]),
    Time(&'static [Ordering]),
    Truth,
    Binary,
    Address,
    Arn,
    IsMissing,
}

const EQUAL: &[Ordering] = &[Ordering::Equal];
const LESS: &[Ordering] = &[Ordering::Less];
const LESS_OR_EQUAL: &[Ordering] = &[Ordering::Less, Ordering::Equal];
const GREATER: &[Ordering] = &[Ordering::Greater];
const GREATER_OR_EQUAL: &[Ordering] = &[Ordering::Greater, Ordering::Equal];

/// IAM's operators, and whether each says that something is not so.
const OPERATORS: [(&str, Kind, bool); 27] = [
    ("StringEquals", Kind::Text, false),
    ("StringNotEquals", Kind::Text, true),
    ("StringEqualsIgnoreCase", Kind::TextIgnoringCase, false),
    ("StringNotEqualsIgnoreCase", Kind::TextIgnoringCase, true),
    ("StringLike", Kind::TextLike, false),
    ("StringNotLike", Kind::TextLike, true),
    ("NumericEquals", Kind::Number(EQUAL), false),
    ("NumericNotEquals", Kind::Number(EQUAL), true),
    ("NumericLessThan", Kind::Number(LESS), false),
    ("NumericLessThanEquals", Kind::Number(LESS_OR_EQUAL), false),
    ("NumericGreaterThan", Kind::Number(GREATER), false),
    ("NumericGreaterThanEquals", Kind::Number(GREATER_OR_EQUAL), false),
    ("DateEquals", Kind::Time(EQUAL), false),
    ("DateNotEquals", Kind::Time(EQUAL), true),
    ("DateLessThan", Kind::Time(LESS), false),
    ("DateLessThanEquals", Kind::Time(LESS_OR_EQUAL), false),
    ("DateGreaterThan", Kind::Time(GREATER), false),
    ("DateGreaterThanEquals", Kind::Time(GREATER_OR_EQUAL), false),
    ("Bool", Kind::Truth, false),
    ("BinaryEquals", Kind::Binary, false),
    ("IpAddress", Kind::Address, false),
    ("NotIpAddress", Kind::Address, true),
    ("ArnEquals", Kind::Arn, false),
    ("ArnLike", Kind::Arn, false),
    ("ArnNotEquals", Kind::Arn, true),
    ("ArnNotLike", Kind::Arn, true),
    ("Null", Kind::IsMissing, false),
];

impl Operator {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let (of_many, rest) = match word.split_once(':') {
            Some(("ForAllValues", rest)) => (OfMany::All, rest),
            Some(("ForAnyValue", rest)) => (OfMany::Any, rest),
            Some(_) => return None,
            None => (OfMany::Unsaid, word),
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let (_, kind, is_negated) = OPERATORS.into_iter().find(|(known, ..)| *known == name)?;
        if kind == Kind::IsMissing && (if_exists || of_many != OfMany::Unsaid) {
            return None;
        }
        Some(Self { of_many, kind, is_negated, if_exists })
    }

    /// Whether a value can be wanted at all.
    fn can_want(self, value: &str) -> bool {
        // A value of the request may stand there.
        if value.contains("${") {
            return true;
        }
        match self.kind {
            Kind::Number(_) => is_number(value),
            Kind::Time(_) => is_time(value),
            Kind::Truth | Kind::IsMissing => truth(value).is_some(),
            Kind::Address => Network::parse(value).is_some(),
            Kind::Text | Kind::TextIgnoringCase | Kind::TextLike | Kind::Binary | Kind::Arn => true,
        }
    }
}

impl Kind {
    fn has_patterns(self) -> bool {
        matches!(self, Self::TextLike | Self::Arn)
    }

    fn is(self, wanted: &str, value: &str) -> bool {
        let is_one_of =
            |orderings: &[Ordering], found: Option<Ordering>| found.is_some_and(|found| orderings.contains(&found));
        match self {
            Self::Text | Self::Binary => wanted == value,
            Self::TextIgnoringCase => wanted.eq_ignore_ascii_case(value),
            Self::TextLike => Pattern::new(wanted).matches(value),
            Self::Number(orderings) => is_one_of(orderings, compare_numbers(value, wanted)),
            Self::Time(orderings) => is_one_of(orderings, compare_times(value, wanted)),
            Self::Truth => truth(wanted).is_some_and(|wanted| truth(value) == Some(wanted)),
            Self::Address => {
                Network::parse(wanted).is_some_and(|network| value.parse().is_ok_and(|address| network.has(address)))
            }
            Self::Arn => is_arn_like(wanted, value),
            Self::IsMissing => false,
        }
    }
}

/// Part by part: a `*` does not reach over a colon, but in the last part.
fn is_arn_like(wanted: &str, value: &str) -> bool {
    let (wanted, value): (Vec<&str>, Vec<&str>) = (wanted.splitn(6, ':').collect(), value.splitn(6, ':').collect());
    wanted == ["*"]
        || wanted.len() == value.len()
            && wanted.iter().zip(value).all(|(wanted, value)| Pattern::new(wanted).matches(value))
}

impl Condition {
    /// `None` if such values cannot be compared so.
    pub(super) fn new(operator: Operator, key: &str, wanted: Vec<String>) -> Option<Self> {
        let is_good = !key.is_empty() && wanted.iter().all(|value| operator.can_want(value));
        is_good.then(|| Self { operator, key: key.to_owned(), wanted })
    }

    /// Whether requests are known to have the key or not.
    pub(super) fn can_be_judged(&self) -> bool {
        is_known(&self.key)
    }

    pub(super) fn holds(&self, context: &Context) -> bool {
        let Operator { of_many, kind, is_negated, if_exists } = self.operator;
        let values = context.values(&self.key);
        if kind == Kind::IsMissing {
            return self.wanted.iter().any(|wanted| truth(wanted) == Some(values.is_none()));
        }
        let resolve = if kind.has_patterns() { resolve_pattern } else { resolve };
        let wanted: Vec<String> = self.wanted.iter().map(|wanted| resolve(wanted, context)).collect();
        let is_good = |value: &String| wanted.iter().any(|wanted| kind.is(wanted, value)) != is_negated;
        match (of_many, values) {
            (OfMany::Unsaid, None) => if_exists || is_negated,
            (OfMany::Any, None) => if_exists,
            (OfMany::All, None) => true,
            (OfMany::All, Some(values)) => values.iter().all(is_good),
            // That something is not so has to be so of all values.
            (OfMany::Unsaid, Some(values)) if is_negated => values.iter().all(is_good),
            (OfMany::Unsaid | OfMany::Any, Some(values)) => values.iter().any(is_good),
        }
    }
}
