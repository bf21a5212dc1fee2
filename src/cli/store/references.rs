//! Whether what a shard's snapshot and log refer to is there: messages, and pages of references to messages.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use crossdock_core::{Location, RecordKind, Reference, ShardReplay};
use crossdock_store::Inspected;

use super::check::{Loss, Verdict};
use super::journals::queue_described;
use crate::broker::location_of;

/// Segment, offset, length and checksum of a record.
type Place = (u64, u32, u32, u32);

/// Replays a shard as a start would, and knows what there is.
#[derive(Default)]
pub(super) struct References {
    /// Every message, and every piece of one, that can be read.
    messages: Vec<Place>,
    /// Where pages are that the snapshot refers to; `None` until it is read.
    wanted: Option<HashSet<Location>>,
    pages: HashMap<Location, Bytes>,
}

impl References {
    pub(super) fn take(&mut self, shard: &mut ShardReplay<'_>, inspected: &Inspected<'_>) {
        match *inspected {
            // What is not understood is told by whoever looks at the record.
            Inspected::SnapshotRecord { kind, stream, payload } => {
                RecordKind::from_number(kind).map(|kind| shard.replay(kind, stream, payload, None));
            }
            Inspected::Record { location, covered, kind, stream, payload, .. } => {
                let (Some(kind), location) = (RecordKind::from_number(kind), location_of(location)) else { return };
                if !covered {
                    let _ = shard.replay(kind, stream, payload, Some(location));
                }
                self.keep(shard, kind, location, payload);
            }
            Inspected::Damaged(_) => {}
        }
    }

    fn keep(&mut self, shard: &ShardReplay<'_>, kind: RecordKind, location: Location, payload: &[u8]) {
        match kind {
            RecordKind::Message | RecordKind::Part => self.messages.push(place(&location)),
            RecordKind::Page => {
                let wanted = self.wanted.get_or_insert_with(|| shard.page_locations().into_iter().collect());
                if wanted.contains(&location) {
                    self.pages.insert(location, Bytes::copy_from_slice(payload));
                }
            }
            _ => {}
        }
    }

    /// Everything has been read: finds what leads nowhere, or to other bytes.
    pub(super) fn resolve(mut self, shard: &mut ShardReplay<'_>, verdict: &mut Verdict) {
        for page in shard.all_pages() {
            let payload = self.pages.remove(&page.location);
            shard.page_read(&page, payload);
        }
        let queue = |number| queue_described(shard.queue(number), Some(number));
        verdict.pages = shard.lost_pages().into_iter().map(|page| (queue(page.queue), page)).collect();
        self.messages.sort_unstable();
        let mut last = None;
        for Reference { queue: number, position, location } in shard.references() {
            if self.messages.binary_search(&place(&location)).is_ok() {
                continue;
            }
            verdict.faults.lost.insert(location);
            // The pieces of a large message come one after another.
            if last.replace((number, position)) != Some((number, position)) {
                let loss = Loss { queue: queue(number), count: 0 };
                verdict.lost.entry(number).or_insert(loss).count += 1;
            }
        }
    }
}

fn place(location: &Location) -> Place {
    (location.segment.get(), location.offset, location.length_bytes, location.crc)
}
