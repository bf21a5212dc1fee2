//! Cleaned segments at recovery: which of two files counts, and what a compact file still tells if no snapshot covers it.

use super::report::OpenError;
use super::segments::Progress;
use super::view::RecordView;
use super::{Context, Delivery, Kept, disk_error, newer};
use crate::compact::{self, CompactEntry, Map, MapError};
use crate::disk::{DiskFile, read_whole};
use crate::names;
use crate::table::ClosedSegment;
use crate::types::BatchSequence;

/// After a crash between a cleaning's last steps both files are there. The compact one counts if it is whole and covered.
pub(super) fn settle(context: &mut Context<'_>, snapshot_at: BatchSequence) -> Result<(), OpenError> {
    let is_segment = |first: &BatchSequence| context.listing.segments.binary_search(first).is_ok();
    let both: Vec<_> = context.listing.compacts.iter().copied().filter(is_segment).collect();
    if both.is_empty() {
        return Ok(());
    }
    // The compact files' names may not be durable yet, and the segments must not go before that.
    context.disk.sync_folder(context.folder).map_err(disk_error("sync the folder", context.folder))?;
    for first in both {
        let counts = is_whole(context, first) && last_of(context, first).is_some_and(|last| last <= snapshot_at);
        let (name, list) = if counts {
            (names::segment(first), &mut context.listing.segments)
        } else {
            (names::compact(first), &mut context.listing.compacts)
        };
        list.retain(|other| *other != first);
        // One that stays is met again at the next recovery.
        let _ = context.disk.remove(&context.folder.join(name));
    }
    Ok(())
}

fn is_whole(context: &Context<'_>, first: BatchSequence) -> bool {
    let mut bytes = Vec::new();
    let Ok(file) = context.disk.open_to_read(&context.folder.join(names::compact(first))) else { return false };
    let map = compact::read_map(file.as_ref(), context.identity, first);
    read_whole(file.as_ref(), &mut bytes).is_ok()
        && map.is_ok_and(|map| map.damaged == 0 && map.entries.iter().all(|entry| entry.payload(&bytes).is_some()))
}

fn last_of(context: &Context<'_>, first: BatchSequence) -> Option<BatchSequence> {
    let file = context.disk.open_to_read(&context.folder.join(names::compact(first))).ok()?;
    compact::read_map(file.as_ref(), context.identity, first).ok().map(|map| map.header.durable)
}

impl Progress {
    /// A compact file of which the listing does not tell that the snapshot covers it.
    pub(super) fn compact(
        &mut self,
        context: &Context<'_>,
        delivery: &mut Delivery<'_>,
        first: BatchSequence,
    ) -> Result<(), OpenError> {
        let name = names::compact(first);
        let file = context.disk.open_to_read(&context.folder.join(&name));
        let file = file.map_err(disk_error("open a compact file", context.folder))?;
        let len_bytes = file.len_bytes().map_err(disk_error("measure a compact file", context.folder))?;
        let last = match compact::read_map(file.as_ref(), context.identity, first) {
            Ok(map) => {
                let last = map.header.durable;
                if last >= self.next {
                    self.uncovered(context, delivery, (file.as_ref(), &map, &name))?;
                }
                last
            }
            Err(MapError::Damaged) => self.next.previous().max(first),
            Err(MapError::NewerVersion(found)) => return Err(newer(&name, found)),
            Err(MapError::Disk(error)) => return Err(disk_error("read a compact file", context.folder)(error)),
        };
        self.closed.push(ClosedSegment { compact: true, ..ClosedSegment::new(first, last, len_bytes) });
        Ok(())
    }

    /// The snapshot that this segment was cleaned for is gone: only what lived then is left.
    pub(super) fn uncovered(
        &mut self,
        context: &Context<'_>,
        delivery: &mut Delivery<'_>,
        (file, map, name): (&dyn DiskFile, &Map, &str),
    ) -> Result<(), OpenError> {
        let (first, last) = (self.next.max(map.header.sequence), map.header.durable);
        self.miss(first, &format!("is missing before {name}: a file is gone"), delivery);
        let what = format!("{name} holds only a part of its batches, and the snapshot it was cleaned for is gone");
        delivery.damage(None, (first, last), what);
        let mut bytes = Vec::new();
        read_whole(file, &mut bytes).map_err(disk_error("read a compact file", context.folder))?;
        for entry in map.entries.iter().filter(|entry| entry.sequence >= first) {
            deliver(entry, &bytes, (map.header.sequence, name), delivery);
        }
        self.next = last.next();
        Ok(())
    }
}

/// Hands a record of the compact file `bytes` over, or its loss.
pub(super) fn deliver(
    entry: &CompactEntry,
    bytes: &[u8],
    (segment, file): (BatchSequence, &str),
    delivery: &mut Delivery<'_>,
) {
    let CompactEntry { sequence, stream, kind, old, payload_crc, .. } = *entry;
    let Some(payload) = entry.payload(bytes) else {
        let what = format!("a record of batch {sequence} in {file} is damaged");
        return delivery.damage(Some(stream), (sequence, sequence), what);
    };
    let kept = Kept { batch: Some((sequence, segment)), at: sequence, file };
    delivery.record(kept, RecordView { kind, stream, payload, offset: old, crc: payload_crc });
}
