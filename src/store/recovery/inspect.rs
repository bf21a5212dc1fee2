//! Looks through a journal that is not open and changes nothing: for tools, and for whoever has to decide about a repair.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::compact;
use super::report::{Damage, OpenError, Recovered, RecoveryReport};
use super::segments::{Progress, batches};
use super::walk::{Found, Walk};
use super::{Context, Delivery, Kept, disk_error, in_use, look, newer, sealing, snapshot};
use crate::compact::{MapError, read_map};
use crate::disk::{Disk, DiskLock, read_whole};
use crate::format::Role;
use crate::names;
use crate::sealed::{Keyring, Vault};
use crate::types::{BatchSequence, Location, Options};

/// What [`inspect`] shows, in order: the snapshot's records, then those of all segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspected<'a> {
    /// A record of the snapshot.
    SnapshotRecord { kind: u8, stream: u64, payload: &'a [u8] },
    /// A record of a batch.
    Record {
        sequence: BatchSequence,
        location: Location,
        /// The snapshot stands for its batch: an open would not replay it.
        covered: bool,
        kind: u8,
        stream: u64,
        payload: &'a [u8],
    },
    /// Something durable that can't be read any more; it takes its place in the order.
    Damaged(&'a Damage),
}

/// Reads everything in the journal in `folder`, also what a snapshot covers, checks it, and changes nothing but the lock
/// file. The report is that of an open, but for the epoch, which is the last one, and the damage in what is covered.
///
/// The end of a covered segment can't be told from the freed segment behind it: batches that are wholly unreadable there
/// are not noticed.
///
/// # Errors
/// The journal is open elsewhere, in a newer format, or sealed with a key that `keys` does not have, or the disk does not work. A folder without the right to write is fine.
pub fn inspect(
    disk: Arc<dyn Disk>,
    keys: &Keyring,
    folder: &Path,
    visitor: &mut dyn FnMut(Inspected<'_>),
) -> Result<RecoveryReport, OpenError> {
    let disk = &Vault::new(disk, keys.clone());
    let _lock = lock(disk, folder)?;
    let (mut context, meta) = look(disk, folder, Options::default().identity)?;
    let sealing = sealing(&context)?;
    context.read_only = true;
    let covered_to = Cell::new(BatchSequence::NONE);
    let mut show = |recovered: Recovered<'_>| visitor(inspected(recovered, covered_to.get()));
    let mut delivery = Delivery::new(&mut show);
    if meta.exists && !meta.intact {
        delivery.report.notes.push(format!("{} is damaged; it can be rebuilt", names::META));
    }
    let chosen = snapshot::replay(&context, &mut delivery)?;
    covered_to.set(chosen.at);
    let mut progress = Progress::new(chosen.at, meta.durable);
    progress.inspect(&context, &mut delivery, chosen.at)?;
    let epoch = meta.epoch.max(progress.epoch).max(chosen.epoch);
    Ok(RecoveryReport { epoch, last: progress.next.previous(), snapshot_at: chosen.at, sealing, ..delivery.report })
}

/// `None` if there is no right to make the lock file: then nobody writes here.
fn lock(disk: &Vault, folder: &Path) -> Result<Option<Box<dyn DiskLock>>, OpenError> {
    match disk.lock(&folder.join(names::LOCK)) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(None),
            io::ErrorKind::WouldBlock => Err(in_use(folder)),
            _ => Err(disk_error("lock the folder", folder)(error)),
        },
    }
}

fn inspected(recovered: Recovered<'_>, covered_to: BatchSequence) -> Inspected<'_> {
    match recovered {
        Recovered::SnapshotRecord { kind, stream, payload } => Inspected::SnapshotRecord { kind, stream, payload },
        Recovered::Record { sequence, location, kind, stream, payload } => {
            Inspected::Record { sequence, location, covered: sequence <= covered_to, kind, stream, payload }
        }
        Recovered::Damaged(damage) => Inspected::Damaged(damage),
    }
}

impl Progress {
    fn inspect(
        &mut self,
        context: &Context<'_>,
        delivery: &mut Delivery<'_>,
        covered_to: BatchSequence,
    ) -> Result<(), OpenError> {
        let files = context.listing.files();
        for (index, (first, is_compact)) in files.iter().copied().enumerate() {
            let limit = files[index + 1..].iter().map(|(first, _)| *first).find(|other| *other != first);
            if !is_compact {
                self.inspect_segment(context, delivery, (first, limit), covered_to)?;
            } else if context.listing.segments.binary_search(&first).is_ok() {
                let (segment, compact) = (names::segment(first), names::compact(first));
                delivery
                    .report
                    .notes
                    .push(format!("{segment} and {compact} are both there; the next start settles it"));
            } else {
                self.inspect_compact(context, delivery, first, covered_to)?;
            }
        }
        self.miss_the_end(delivery);
        Ok(())
    }

    fn inspect_segment(
        &mut self,
        context: &Context<'_>,
        delivery: &mut Delivery<'_>,
        (first, limit): (BatchSequence, Option<BatchSequence>),
        covered_to: BatchSequence,
    ) -> Result<(), OpenError> {
        let name = names::segment(first);
        self.miss(first, &format!("is missing before {name}: a file is gone"), delivery);
        let bytes = read_file(context, &name)?;
        let mut walk = Walk::new(&bytes, Role::Batch, self.entrance(context, first, limit));
        loop {
            match walk.next().map_err(|found| newer(&name, found))? {
                Found::Batch(view) => {
                    let sequence = view.header.sequence;
                    delivery.batch(&view, Kept { batch: Some((sequence, first)), at: sequence, file: &name });
                }
                Found::Lost { first, last } => {
                    let is_end = limit.is_none_or(|limit| last == limit.previous());
                    let first = if is_end { first.max(covered_to.next()) } else { first };
                    if first <= last {
                        let what = format!("{} in {name} is unreadable", batches(first, last));
                        delivery.damage(None, (first, last), what);
                    }
                }
                Found::End { torn_bytes } => {
                    delivery.report.torn_bytes += torn_bytes;
                    return Ok(());
                }
            }
            self.passed(&walk);
        }
    }

    fn inspect_compact(
        &mut self,
        context: &Context<'_>,
        delivery: &mut Delivery<'_>,
        first: BatchSequence,
        covered_to: BatchSequence,
    ) -> Result<(), OpenError> {
        let name = names::compact(first);
        let bytes = read_file(context, &name)?;
        let file = context.disk.open_to_read(&context.folder.join(&name));
        let file = file.map_err(disk_error("open a compact file", context.folder))?;
        let map = match read_map(file.as_ref(), context.identity, first) {
            Ok(map) => map,
            Err(MapError::Damaged) => {
                delivery.damage(None, (first, first), format!("{name} is unreadable"));
                return Ok(());
            }
            Err(MapError::NewerVersion(found)) => return Err(newer(&name, found)),
            Err(MapError::Disk(error)) => return Err(disk_error("read a compact file", context.folder)(error)),
        };
        let last = map.header.durable;
        if last > covered_to {
            return self.uncovered(context, delivery, (file.as_ref(), &map, &name));
        }
        if map.damaged > 0 {
            let what = format!("the places of {} records in {name} are damaged", map.damaged);
            delivery.damage(None, (first, last), what);
        }
        map.entries.iter().for_each(|entry| compact::deliver(entry, &bytes, (first, &name), delivery));
        Ok(())
    }
}

fn read_file(context: &Context<'_>, name: &str) -> Result<Vec<u8>, OpenError> {
    let mut bytes = Vec::new();
    let file = context.disk.open_to_read(&context.folder.join(name));
    let file = file.map_err(disk_error("open a file", context.folder))?;
    read_whole(file.as_ref(), &mut bytes).map_err(disk_error("read a file", context.folder))?;
    Ok(bytes)
}
