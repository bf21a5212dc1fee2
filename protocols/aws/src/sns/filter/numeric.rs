//! Ranges of numbers.

use std::cmp::Ordering;

use serde_json::Value as Json;

/// From one number to another, each of them in it or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Range {
    pub low: Option<(Json, bool)>,
    pub high: Option<(Json, bool)>,
}

impl Range {
    pub(super) fn has(&self, number: &Json) -> bool {
        let fits = |bound: &Option<(Json, bool)>, inside: Ordering| {
            bound.as_ref().is_none_or(|(bound, is_in)| match compare(number, bound) {
                Some(Ordering::Equal) => *is_in,
                found => found == Some(inside),
            })
        };
        fits(&self.low, Ordering::Greater) && fits(&self.high, Ordering::Less)
    }
}

/// Whole numbers are compared without rounding.
pub(super) fn compare(one: &Json, other: &Json) -> Option<Ordering> {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}
