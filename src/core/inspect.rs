//! What records say, for tools that look into a journal without running a broker.

use bytes::Bytes;
use crossdock_common::{Format, Name, Table, Value};

use crate::log::{Location, RecordKind};
use crate::record::{Decoder, RecordError, decode_table, take_bytes, take_location, take_name, take_u8, take_u64};
use crate::shard::stored::{PageRef, StoredRef, take_page, take_ref, take_refs};

/// What tools show of definitions: names, and never a document, which may be a secret.
const FIELDS_SHOWN: [&str; 7] = ["vhost", "name", "kind", "key", "source", "destination", "queue"];

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The places in queues that it speaks of.
    pub places: Vec<QueuePlace>,
    /// The pages that it refers to.
    pub pages: Vec<PagePlace>,
    /// Names in it, by what they name.
    pub names: Vec<(&'static str, String)>,
    /// The body of the message in it.
    pub body: Option<Bytes>,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// The queue's number.
    pub queue: u64,
    pub position: u64,
    /// Where the message is, if the record only refers to it.
    pub location: Option<Location>,
}

/// A page of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePlace {
    /// The queue's number.
    pub queue: u64,
    /// The least and greatest position in it.
    pub positions: (u64, u64),
    /// Messages in it that survive a restart.
    pub count: u64,
    pub location: Location,
}

/// Says what a record says. `stream` is what it was written with.
///
/// # Errors
/// The record is not understood: then a start passes it over.
pub fn describe(
    kind: RecordKind,
    stream: u64,
    payload: &[u8],
    formats: &[&'static dyn Format],
) -> Result<Description, RecordError> {
    let mut payload = Bytes::copy_from_slice(payload);
    Ok(match kind {
        RecordKind::Message | RecordKind::Transient => {
            let (places, message) = Decoder::new(formats).message(payload)?;
            let places = places.iter().map(|place| at(place.queue.0, place.position)).collect();
            let names = vec![name("exchange", &message.exchange), key(&message.routing_key)];
            Description { places, names, body: Some(message.body.clone()), ..Description::default() }
        }
        RecordKind::Retained => {
            let vhost = take_name(&mut payload)?;
            let message = Decoder::new(formats).body(payload)?;
            let names = vec![name("vhost", &vhost), name("exchange", &message.exchange), key(&message.routing_key)];
            Description { names, body: Some(message.body), ..Description::default() }
        }
        RecordKind::Settled => {
            let mut places = Vec::new();
            while !payload.is_empty() {
                places.push(at(stream, take_u64(&mut payload)?));
            }
            Description { places, ..Description::default() }
        }
        RecordKind::Stored | RecordKind::Page => {
            if kind == RecordKind::Stored {
                take_u8(&mut payload)?;
                take_u8(&mut payload)?;
            }
            Description { places: places_of(stream, &take_refs(payload)?), ..Description::default() }
        }
        RecordKind::Pages => {
            take_u8(&mut payload)?;
            let mut pages = Vec::new();
            while !payload.is_empty() {
                let PageRef { positions, logged, location, .. } = take_page(&mut payload)?;
                pages.push(PagePlace { queue: stream, positions, count: logged.count, location });
            }
            Description { pages, ..Description::default() }
        }
        RecordKind::Delayed => {
            let mut refs = Vec::new();
            while !payload.is_empty() {
                take_u64(&mut payload)?;
                take_u8(&mut payload)?;
                refs.push(take_ref(&mut payload)?);
            }
            Description { places: places_of(stream, &refs), ..Description::default() }
        }
        RecordKind::Part | RecordKind::Deduplication | RecordKind::Landings | RecordKind::Arrivals => {
            Description::default()
        }
        RecordKind::Parts => {
            let position = take_u64(&mut payload)?;
            let mut places = Vec::new();
            while !payload.is_empty() {
                places.push(QueuePlace { location: Some(take_location(&mut payload)?), ..at(stream, position) });
            }
            Description { places, ..Description::default() }
        }
        RecordKind::Attempts | RecordKind::NextPosition | RecordKind::Purged => {
            let places = vec![at(stream, take_u64(&mut payload)?)];
            Description { places, ..Description::default() }
        }
        RecordKind::SessionState => {
            let names = vec![key(&take_bytes(&mut payload)?)];
            Description { names, ..Description::default() }
        }
        _ => Description { names: names_in(&decode_table(&mut payload)?), ..Description::default() },
    })
}

impl RecordKind {
    /// Its name in the output of tools.
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Settled => "settled",
            Self::Attempts => "attempts",
            Self::NextPosition => "next_position",
            Self::Retained => "retained",
            Self::SessionState => "session_state",
            Self::Stored => "stored",
            Self::Page => "page",
            Self::Pages => "pages",
            Self::Delayed => "delayed",
            Self::Transient => "transient",
            Self::Purged => "purged",
            Self::Part => "part",
            Self::Parts => "parts",
            Self::Deduplication => "deduplication",
            Self::Exchange => "exchange",
            Self::ExchangeDeleted => "exchange_deleted",
            Self::Queue => "queue",
            Self::QueueDeleted => "queue_deleted",
            Self::Binding => "binding",
            Self::BindingDeleted => "binding_deleted",
            Self::Session => "session",
            Self::SessionDeleted => "session_deleted",
            Self::Vhost => "vhost",
            Self::NextQueue => "next_queue",
            Self::Document => "document",
            Self::VhostDeleted => "vhost_deleted",
            Self::Landings => "landings",
            Self::Arrivals => "arrivals",
        }
    }
}

fn places_of(queue: u64, refs: &[StoredRef]) -> Vec<QueuePlace> {
    let referred = |stored: &StoredRef| QueuePlace { location: Some(stored.location), ..at(queue, stored.position) };
    refs.iter().map(referred).collect()
}

fn at(queue: u64, position: u64) -> QueuePlace {
    QueuePlace { queue, position, location: None }
}

fn name(what: &'static str, name: &Name) -> (&'static str, String) {
    (what, name.to_string())
}

fn key(key: &[u8]) -> (&'static str, String) {
    ("key", String::from_utf8_lossy(key).into_owned())
}

fn names_in(table: &Table) -> Vec<(&'static str, String)> {
    let field = |field: &'static str| match crossdock_common::value::lookup(table, field)? {
        Value::String(text) => Some((field, text.to_string())),
        Value::Binary(bytes) => Some((field, String::from_utf8_lossy(bytes).into_owned())),
        _ => None,
    };
    FIELDS_SHOWN.into_iter().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use crossdock_common::Message;
    use crossdock_common::names::QueueId;
    use crossdock_common::testkit::plain_format;

    use super::*;
    use crate::log::{Log, Placed, Sequence, Urgency};
    use crate::record::{StoredPlace, TableWriter, encode_message, encode_table};
    use crate::shard::stored::{put_page, put_refs};

    /// Keeps the last record.
    #[derive(Default)]
    struct Last(Vec<u8>);

    impl Log for Last {
        fn push(&mut self, _: RecordKind, _: u64, parts: &[&[u8]]) -> Placed {
            self.0 = parts.concat();
            Placed { start: 0, length_bytes: 0, crc: 0 }
        }

        fn next_sequence(&self) -> Sequence {
            Sequence(1)
        }

        fn len_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn commit(&mut self, _: Urgency) {}
    }

    #[test]
    fn a_message_has_its_places_names_and_body() {
        let text = Bytes::from_static;
        let message = Message::new(plain_format(), "e".into(), text(b"k"), Bytes::new(), text(b"hello"));
        let place = |queue, position| StoredPlace { queue: QueueId(queue), position, binding: 0, attempts: 0 };
        let mut last = Last::default();
        encode_message(&mut last, RecordKind::Message, &mut BytesMut::new(), &message, &[place(256, 1), place(512, 9)]);
        let described = describe(RecordKind::Message, 0, &last.0, &[plain_format()]).unwrap();
        assert_eq!(described.places, [at(256, 1), at(512, 9)]);
        assert_eq!(described.names, [("exchange", "e".to_owned()), ("key", "k".to_owned())]);
        assert_eq!(described.body.as_deref(), Some(&b"hello"[..]));
        assert!(describe(RecordKind::Message, 0, &last.0, &[]).is_err(), "of a format that nobody knows");
    }

    #[test]
    fn settlements_name_their_places() {
        let payload = [3u64.to_le_bytes(), 5u64.to_le_bytes()].concat();
        let described = describe(RecordKind::Settled, 256, &payload, &[]).unwrap();
        assert_eq!(described.places, [at(256, 3), at(256, 5)]);
        assert!(describe(RecordKind::Settled, 256, &payload[..9], &[]).is_err());
    }

    #[test]
    fn references_tell_where_their_messages_are() {
        let segment = std::num::NonZeroU64::new(7).unwrap();
        let location = Location { segment, offset: 100, length_bytes: 10, crc: 5 };
        let stored = StoredRef { position: 3, location, body_bytes: 4, attempts: 0, logged: true, expires: false };
        let mut refs = BytesMut::new();
        put_refs(&mut refs, std::iter::once(&stored));
        let expected = [QueuePlace { location: Some(location), ..at(256, 3) }];
        assert_eq!(describe(RecordKind::Page, 256, &refs, &[]).unwrap().places, expected);
        let in_level = [&[0, 1][..], &refs].concat();
        assert_eq!(describe(RecordKind::Stored, 256, &in_level, &[]).unwrap().places, expected);
        let delayed = [&1u64.to_le_bytes()[..], &[0], &refs].concat();
        assert_eq!(describe(RecordKind::Delayed, 256, &delayed, &[]).unwrap().places, expected);
        let mut pages = BytesMut::from(&[0][..]);
        put_page(&mut pages, &PageRef::new(location, std::iter::once(&stored)));
        let described = describe(RecordKind::Pages, 256, &pages, &[]).unwrap();
        assert_eq!(described.pages, [PagePlace { queue: 256, positions: (3, 3), count: 1, location }]);
        assert!(describe(RecordKind::Pages, 256, &pages[..9], &[]).is_err());
    }

    #[test]
    fn a_document_is_named_and_not_shown() {
        let table = TableWriter::new().text("kind", "user").text("key", "admin");
        let table = table.bytes("document", &Bytes::from_static(b"canary")).finish();
        let mut payload = BytesMut::new();
        encode_table(&table, &mut payload);
        let described = describe(RecordKind::Document, 0, &payload, &[]).unwrap();
        assert_eq!(described.names, [("kind", "user".to_owned()), ("key", "admin".to_owned())]);
        assert!(!format!("{described:?}").contains("canary"));
    }
}
