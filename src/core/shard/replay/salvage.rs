//! What tools have to know of a replay, and what a repair does before it ends: it finds messages again whose references are lost,
//! and moves what is readable out of damaged segments.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::definition::BindingSpec;
use crossdock_common::names::QueueId;
use crossdock_common::{Format, Message};

use super::super::Shard;
use super::records::restored;
use super::{QueueReplay, Replay, Replayed};
use crate::definitions::route::AnnouncedBinding;
use crate::log::{Location, RecordKind, Sequence, Urgency};
use crate::record::{
    Decoder, Head, RecordError, StoredPlace, decode_parts, decode_places, peek_head, take_u32, take_u64,
};

/// A message that is said to be somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The queue's number.
    pub queue: u64,
    pub position: u64,
    pub location: Location,
}

/// References that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostPage {
    /// The queue's number.
    pub queue: u64,
    /// How many messages it stood for when it was written.
    pub count: u64,
    /// The least and greatest position among them.
    pub positions: (u64, u64),
}

/// Messages of a queue that a repair has found again, or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The queue's number.
    pub queue: u64,
    pub count: u64,
}

/// Messages whose references may be lost, as the log's records tell of them.
///
/// Places are never given twice: what was settled or purged according to any record is not served again. A settlement whose
/// record is gone with its segment cannot be known: such a message comes again.
#[derive(Default)]
pub struct Salvage {
    /// Places to look for, by queue.
    wanted: HashMap<u64, Vec<(u64, u64)>>,
    /// Any place of any queue is to be looked for.
    everything: bool,
    found: HashMap<u64, BTreeMap<u64, Found>>,
    settled: HashMap<u64, HashSet<u64>>,
    /// Places below the first are gone, except these.
    purged: HashMap<u64, Vec<(u64, HashSet<u64>)>>,
}

struct Found {
    place: StoredPlace,
    head: Head,
    location: Location,
    /// The pieces of a large body.
    parts: Vec<Location>,
}

impl Salvage {
    /// Looks for what the page stood for.
    pub fn look_for(&mut self, page: &LostPage) {
        self.wanted.entry(page.queue).or_default().push(page.positions);
    }

    /// Looks for everything that is not settled: nobody knows what a damaged snapshot referred to.
    pub fn look_for_everything(&mut self) {
        self.everything = true;
    }

    /// Whether anything is looked for.
    pub fn is_needed(&self) -> bool {
        self.everything || !self.wanted.is_empty()
    }

    /// Takes a record of the log, whether a snapshot covers it or not.
    ///
    /// # Errors
    /// It is not understood.
    pub fn record(
        &mut self,
        kind: RecordKind,
        stream: u64,
        mut payload: &[u8],
        location: Location,
    ) -> Result<(), RecordError> {
        match kind {
            RecordKind::Message => self.message(payload, location)?,
            RecordKind::Settled => {
                while !payload.is_empty() {
                    let position = take_u64(&mut payload)?;
                    if self.wants(stream, position) {
                        self.settled.entry(stream).or_default().insert(position);
                    }
                }
            }
            RecordKind::Purged => {
                let up_to = take_u64(&mut payload)?;
                let mut kept = HashSet::new();
                while !payload.is_empty() {
                    kept.insert(take_u64(&mut payload)?);
                }
                self.purged.entry(stream).or_default().push((up_to, kept));
            }
            RecordKind::Attempts => {
                let (position, attempts) = (take_u64(&mut payload)?, take_u32(&mut payload)?);
                if let Some(found) = self.found.get_mut(&stream).and_then(|found| found.get_mut(&position)) {
                    found.place.attempts = found.place.attempts.max(attempts);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, mut payload: &[u8], location: Location) -> Result<(), RecordError> {
        let parts = decode_parts(&mut payload)?;
        let places = decode_places(&mut payload)?;
        let mut head = peek_head(payload)?;
        head.body_bytes += parts.iter().map(|part| part.length_bytes).sum::<u32>();
        for place in places {
            if self.wants(place.queue.0, place.position) {
                let (queue, position) = (place.queue.0, place.position);
                let (head, parts) = (head.clone(), parts.clone());
                self.found.entry(queue).or_default().insert(position, Found { place, head, location, parts });
            }
        }
        Ok(())
    }

    fn wants(&self, queue: u64, position: u64) -> bool {
        let within = |spans: &Vec<(u64, u64)>| spans.iter().any(|(first, last)| (*first..=*last).contains(&position));
        self.everything || self.wanted.get(&queue).is_some_and(within)
    }

    fn is_gone(&self, queue: u64, position: u64) -> bool {
        let purged = |purges: &Vec<(u64, HashSet<u64>)>| {
            purges.iter().any(|(up_to, kept)| position < *up_to && !kept.contains(&position))
        };
        self.settled.get(&queue).is_some_and(|settled| settled.contains(&position))
            || self.purged.get(&queue).is_some_and(purged)
    }
}

impl Replay {
    /// Where pages are that the records so far refer to.
    pub(crate) fn page_locations(&self) -> Vec<Location> {
        self.queues.values().flat_map(|queue| queue.pages.iter().map(|(_, page)| page.location)).collect()
    }

    /// Messages on disk and the pieces of large ones, those of pages that were not read left out.
    pub(crate) fn references(&self) -> Vec<Reference> {
        let of_queue = |(id, queue): (&QueueId, &QueueReplay)| -> Vec<Reference> {
            let stored = queue.entries.values().filter_map(|one| Some((one.entry.position, one.entry.stored?)));
            let in_parts = |(position, _): &(u64, Location)| queue.parts.get(position).into_iter().flatten();
            let stored = stored.flat_map(|whole| in_parts(&whole).map(move |part| (whole.0, *part)).chain([whole]));
            stored.map(|(position, location)| Reference { queue: id.0, position, location }).collect()
        };
        self.queues.iter().flat_map(of_queue).collect()
    }

    /// Pages that could not be read.
    pub(crate) fn lost_pages(&self) -> Vec<LostPage> {
        let of_queue = |(id, queue): (&QueueId, &QueueReplay)| -> Vec<LostPage> {
            let lost = queue.unreadable.iter().map(|(_, page)| (page.logged.count, page.positions));
            lost.map(|(count, positions)| LostPage { queue: id.0, count, positions }).collect()
        };
        self.queues.iter().flat_map(of_queue).collect()
    }
}

impl Shard {
    /// Queue 0 does not exist: a replay passes this over.
    pub(crate) fn write_mark(&mut self) -> Sequence {
        self.log.push(RecordKind::NextPosition, 0, &[&0u64.to_le_bytes()]);
        self.urgency = Urgency::Sync;
        let batch = self.log.next_sequence();
        self.commit();
        batch
    }

    /// Brings messages back whose references are lost. Unreadable pages are given up for them.
    pub(crate) fn salvage(&mut self, replay: &mut Replay, salvage: &Salvage) -> Vec<Repaired> {
        let mut repaired = Vec::new();
        for (id, found) in &salvage.found {
            let Some(queue) = self.queues.get_mut(&QueueId(*id)) else { continue };
            let replayed = replay.queues.entry(QueueId(*id)).or_default();
            let mut count = 0;
            for (position, Found { place, head, location, parts }) in found {
                let lost = restored(queue, place, head, None, Some(*location), replay.now);
                if salvage.is_gone(*id, *position)
                    || !(salvage.everything || replayed.has_lost(lost.entry.level, *position))
                {
                    continue;
                }
                queue.next_position = queue.next_position.max(position + 1);
                count += u64::from(replayed.bring_back(*position, lost, parts));
            }
            repaired.extend((count > 0).then_some(Repaired { queue: *id, count }));
        }
        replay.queues.values_mut().for_each(|queue| queue.unreadable.clear());
        repaired
    }

    /// Moves messages to new records whose locations are doubtful. Gives those that cannot be read, and forgets them.
    pub(crate) fn evacuate(
        &mut self,
        replay: &mut Replay,
        is_doubtful: &dyn Fn(&Location) -> bool,
        read: &mut dyn FnMut(Location) -> Option<Bytes>,
        bindings_of: &dyn Fn(QueueId) -> hashbrown::HashMap<u64, Arc<BindingSpec>>,
    ) -> Vec<Repaired> {
        let mut lost = Vec::new();
        for (id, queue) in &mut replay.queues {
            let (mut count, bindings) = (0, bindings_of(*id));
            queue.entries.retain(|position, Replayed { entry, .. }| {
                let parts = queue.parts.get(position).cloned().unwrap_or_default();
                let Some(location) = entry.stored else { return true };
                if !parts.iter().chain([&location]).any(is_doubtful) {
                    return true;
                }
                queue.parts.remove(position);
                let parts = parts.iter().map(|part| read(*part)).collect::<Option<Vec<Bytes>>>();
                let payload = read(location).zip(parts);
                let found = payload.and_then(|payload| decoded(&self.formats, payload, *id, *position));
                let Some((serial, message)) = found else {
                    count += 1;
                    return false;
                };
                (entry.stored, entry.message) = (None, Some(message));
                entry.binding = bindings.get(&serial).map(|spec| AnnouncedBinding { serial, spec: spec.clone() });
                true
            });
            lost.extend((count > 0).then_some(Repaired { queue: id.0, count }));
        }
        lost
    }
}

impl QueueReplay {
    fn has_lost(&self, level: u8, position: u64) -> bool {
        self.unreadable.iter().any(|(of, page)| *of == level && page.spans(position))
    }

    /// False if it is there already, or was settled.
    fn bring_back(&mut self, position: u64, found: Replayed, parts: &[Location]) -> bool {
        if self.entries.contains_key(&position) || self.gone.binary_search(&position).is_ok() {
            return false;
        }
        let of_level = self.pages.iter().find(|(level, _)| *level == found.entry.level);
        let before_pages = of_level.is_some_and(|(_, page)| position < page.positions.1);
        self.entries.insert(position, Replayed { before_pages, ..found });
        if !parts.is_empty() {
            self.parts.insert(position, parts.to_vec());
        }
        true
    }
}

/// The number of the announced binding it came through, and the message, if it is the one that should be there.
fn decoded(
    formats: &[&'static dyn Format],
    (payload, mut body): (Bytes, Vec<Bytes>),
    queue: QueueId,
    position: u64,
) -> Option<(u64, Arc<Message>)> {
    let (places, mut message) = Decoder::new(formats).message(payload).ok()?;
    if !body.is_empty() {
        body.push(message.body.clone());
        message.body = body.concat().into();
    }
    let place = places.iter().find(|place| place.queue == queue && place.position == position)?;
    Some((place.binding, Arc::new(message)))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use bytes::{BufMut, BytesMut};

    use super::*;

    const QUEUE: u64 = 256;
    const OTHER: u64 = 512;

    /// A message record with one place and nothing in it.
    fn message(queue: u64, position: u64) -> BytesMut {
        let mut record = BytesMut::new();
        record.put_u32_le(1);
        [queue, position, 0].into_iter().for_each(|number| record.put_u64_le(number));
        record.put_u32_le(0);
        record.put_slice(&[0; 3]);
        record.put_u64_le(0);
        // Exchange, key, user, properties.
        record.put_slice(&[0; 16]);
        record
    }

    /// Knows messages at 1 to 5 of both queues.
    fn filled(mut salvage: Salvage) -> Salvage {
        let location = Location { segment: NonZeroU64::new(1).expect("not 0"), offset: 0, length_bytes: 0, crc: 0 };
        for (queue, position) in [QUEUE, OTHER].into_iter().flat_map(|queue| (1..=5).map(move |at| (queue, at))) {
            salvage.record(RecordKind::Message, 0, &message(queue, position), location).unwrap();
        }
        let numbers = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        salvage.record(RecordKind::Settled, QUEUE, &numbers(&[3]), location).unwrap();
        salvage.record(RecordKind::Settled, OTHER, &numbers(&[4]), location).unwrap();
        salvage.record(RecordKind::Purged, QUEUE, &numbers(&[3, 1]), location).unwrap();
        salvage
    }

    fn served(salvage: &Salvage, queue: u64) -> Vec<u64> {
        let found = salvage.found.get(&queue).into_iter().flat_map(|found| found.keys().copied());
        found.filter(|position| !salvage.is_gone(queue, *position)).collect()
    }

    #[test]
    fn of_a_page_comes_back_what_no_record_settles_or_purges() {
        let mut salvage = Salvage::default();
        salvage.look_for(&LostPage { queue: QUEUE, count: 3, positions: (2, 4) });
        let salvage = filled(salvage);
        assert_eq!((served(&salvage, QUEUE), served(&salvage, OTHER)), (vec![4], vec![]));
    }

    #[test]
    fn of_a_snapshot_comes_back_everything_that_no_record_settles_or_purges() {
        assert!(!Salvage::default().is_needed());
        let mut salvage = Salvage::default();
        salvage.look_for_everything();
        assert!(salvage.is_needed());
        let salvage = filled(salvage);
        // The purge spared the first.
        assert_eq!((served(&salvage, QUEUE), served(&salvage, OTHER)), (vec![1, 4, 5], vec![1, 2, 3, 5]));
    }
}
