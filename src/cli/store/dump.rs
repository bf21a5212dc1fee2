//! `crossdock store dump`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossdock_common::Format;
use crossdock_core::{Description, Location, PagePlace, QueuePlace, RecordError, RecordKind, Recovery, describe};
use crossdock_store::{Damage, Inspected, Keyring};
use serde::Serialize;

use super::journals::{DEFINITIONS, Journals, learn};
use crate::broker::location_of;
use crate::cli::Failure;
use crate::net::formats;

/// Prints every record and every damage as a line of JSON.
pub(super) fn dump(directory: &Path, keys: &Keyring, bodies: bool) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let printer = Printer { bodies, formats: formats() };
    let mut written = Ok(());
    let mut write = |line: &Line| {
        if written.is_ok() {
            written = serde_json::to_writer(&mut out, line).map_err(io::Error::from).and_then(|()| writeln!(out));
        }
    };
    let journals = Journals::open(directory, keys)?;
    let mut definitions = journals.recovery(Vec::new());
    journals.inspect(DEFINITIONS, &mut |inspected| {
        learn(&mut definitions, &inspected);
        write(&printer.line(DEFINITIONS, &definitions, &inspected));
    })?;
    for journal in &journals.shards {
        journals.inspect(journal, &mut |inspected| write(&printer.line(journal, &definitions, &inspected)))?;
    }
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written.context("cannot write to standard output")?),
    }
}

/// A record or a damage.
#[derive(Default, Serialize)]
struct Line {
    partition: String,
    /// `None` in a snapshot.
    batch: Option<u64>,
    #[serde(flatten)]
    location: Option<LocationShown>,
    /// A snapshot stands for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    covered: bool,
    kind: String,
    #[serde(flatten)]
    queue: Option<Queue>,
    /// Of the record.
    bytes: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<PlaceShown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pages: Vec<PageShown>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    about: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Why it is not understood, or what is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct PlaceShown {
    #[serde(flatten)]
    queue: Option<Queue>,
    position: u64,
    /// Of the message, if the record refers to it.
    #[serde(flatten)]
    location: Option<LocationShown>,
}

/// A page of references.
#[derive(Serialize)]
struct PageShown {
    #[serde(flatten)]
    queue: Option<Queue>,
    first_position: u64,
    last_position: u64,
    /// Those that survive a restart.
    messages: u64,
    #[serde(flatten)]
    location: LocationShown,
}

/// Where a record's payload is.
#[derive(Serialize)]
struct LocationShown {
    segment: u64,
    offset: u32,
    length_bytes: u32,
}

impl From<Location> for LocationShown {
    fn from(location: Location) -> Self {
        let Location { segment, offset, length_bytes, .. } = location;
        Self { segment: segment.get(), offset, length_bytes }
    }
}

/// A queue's number, and its name and vhost while it is defined.
#[derive(Serialize)]
struct Queue {
    queue_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    vhost: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
}

struct Printer {
    bodies: bool,
    formats: Vec<&'static dyn Format>,
}

impl Printer {
    fn line(&self, partition: &str, definitions: &Recovery, inspected: &Inspected<'_>) -> Line {
        let line = match *inspected {
            Inspected::Damaged(damage) => damage_line(definitions, damage),
            Inspected::SnapshotRecord { kind, stream, payload } => {
                self.record_line(definitions, (kind, stream, payload))
            }
            Inspected::Record { sequence, location, covered, kind, stream, payload } => {
                let (batch, location) = (Some(sequence.0), Some(location_of(location).into()));
                Line { batch, location, covered, ..self.record_line(definitions, (kind, stream, payload)) }
            }
        };
        Line { partition: partition.to_owned(), ..line }
    }

    fn record_line(&self, definitions: &Recovery, (kind, stream, payload): (u8, u64, &[u8])) -> Line {
        let queue = queue(definitions, stream);
        let mut line = Line { kind: kind.to_string(), queue, bytes: payload.len(), ..Line::default() };
        if let Some(kind) = RecordKind::from_number(kind) {
            kind.word().clone_into(&mut line.kind);
            self.describe(&mut line, definitions, describe(kind, stream, payload, &self.formats));
        }
        line
    }

    fn describe(&self, line: &mut Line, definitions: &Recovery, described: Result<Description, RecordError>) {
        match described {
            Ok(Description { places, pages, names, body }) => {
                line.places = places.iter().map(|place| place_shown(definitions, place)).collect();
                line.pages = pages.iter().map(|page| page_shown(definitions, page)).collect();
                line.about = names.into_iter().collect();
                line.body_bytes = body.as_ref().map(bytes::Bytes::len);
                line.body = body.filter(|_| self.bodies).map(|body| STANDARD.encode(&body));
            }
            Err(error) => line.problem = Some(error.to_string()),
        }
    }
}

fn place_shown(definitions: &Recovery, place: &QueuePlace) -> PlaceShown {
    let QueuePlace { queue: number, position, location } = *place;
    PlaceShown { queue: queue(definitions, number), position, location: location.map(LocationShown::from) }
}

fn page_shown(definitions: &Recovery, page: &PagePlace) -> PageShown {
    let PagePlace { queue: number, positions: (first_position, last_position), count, location } = *page;
    let queue = queue(definitions, number);
    PageShown { queue, first_position, last_position, messages: count, location: location.into() }
}

fn damage_line(definitions: &Recovery, damage: &Damage) -> Line {
    Line {
        batch: Some(damage.first.0),
        kind: "damage".to_owned(),
        queue: queue(definitions, damage.stream.unwrap_or(0)),
        problem: Some(damage.what.clone()),
        ..Line::default()
    }
}

fn queue(definitions: &Recovery, stream: u64) -> Option<Queue> {
    let (vhost, queue) = definitions.queue(stream).map(|(vhost, name)| (vhost.to_string(), name.to_string())).unzip();
    (stream != 0).then_some(Queue { queue_id: stream, vhost, queue })
}
