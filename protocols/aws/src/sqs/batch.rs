//! What all batches share: the entries' ids, and the two lists of the answer.

use std::collections::BTreeSet;

use crate::error::Failure;
use crate::wire::{Shape, View};

const ENTRIES_MAX: usize = 10;
const ID_BYTES_MAX: usize = 80;

/// The entries with their ids.
pub(super) fn entries(view: View<'_>) -> Result<Vec<(&str, View<'_>)>, Failure> {
    let entries = view.list("Entries")?.unwrap_or_default();
    match entries.len() {
        0 => return Err(Failure::EmptyBatch),
        1..=ENTRIES_MAX => {}
        more => return Err(Failure::BatchEntries(more)),
    }
    let mut ids = BTreeSet::new();
    let mut named = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.required("Id")?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.len() > ID_BYTES_MAX || !id.bytes().all(legal) {
            return Err(Failure::BatchId);
        }
        if !ids.insert(id) {
            return Err(Failure::BatchIdRepeated(id.to_owned()));
        }
        named.push((id, entry));
    }
    Ok(named)
}

/// The answer: every entry in one of two lists. `element` is the good ones' name in XML.
pub(super) fn answer(element: &'static str, results: Vec<(&str, Result<Shape, Failure>)>) -> Shape {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(shape) => successful.push(with_id(id, shape)),
            Err(failure) => failed.push(failure_entry(id, &failure)),
        }
    }
    Shape::Fields(vec![
        ("Successful", Shape::list(element, successful)),
        ("Failed", Shape::list("BatchResultErrorEntry", failed)),
    ])
}

fn with_id(id: &str, shape: Shape) -> Shape {
    let mut fields = vec![("Id", Shape::text(id))];
    if let Shape::Fields(rest) = shape {
        fields.extend(rest);
    }
    Shape::Fields(fields)
}

fn failure_entry(id: &str, failure: &Failure) -> Shape {
    Shape::fields([
        ("Id", Shape::text(id)),
        ("SenderFault", Shape::Bool(failure.status() < 500)),
        ("Code", Shape::text(failure.query_code())),
        ("Message", Shape::text(failure.text())),
    ])
}
