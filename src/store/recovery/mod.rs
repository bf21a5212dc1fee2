//! From the files of a folder to a journal that can be appended to.
//!
//! Order of the steps, each of which may be interrupted and repeated: lock; read the meta file; replay snapshot and
//! segments; cut the torn tail; remove left-overs; write the new epoch. Batches are appended to a new segment only, so
//! nothing recovered is ever written over.

mod compact;
mod inspect;
mod report;
mod segments;
mod snapshot;
mod view;
mod walk;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::DiskLock;
use crate::format::FORMAT_VERSION;
use crate::meta::{self, Meta, MetaFile};
use crate::names::{self, Listing};
use crate::sealed::Vault;
use crate::segments::Segments;
use crate::shared::Start;
use crate::table::SegmentTable;
use crate::types::{BatchSequence, Epoch, Location, Options};
use crate::writer::Continuation;
pub use inspect::{Inspected, inspect};
pub use report::{DAMAGES_LISTED_MAX, Damage, OpenError, Recovered, RecoveryReport, Sealing};
use segments::Progress;
pub(crate) use segments::records_of_segment;
use view::BatchView;

/// Takes what recovery delivers.
pub type Visitor<'a> = dyn FnMut(Recovered<'_>) + 'a;

/// The outcome of recovery.
pub(crate) struct Recovery {
    pub(crate) start: Start,
    pub(crate) continuation: Continuation,
    pub(crate) report: RecoveryReport,
    pub(crate) damaged_snapshot: Option<BatchSequence>,
    pub(crate) lock: Box<dyn DiskLock>,
}

/// What every step needs.
struct Context<'a> {
    disk: &'a Vault,
    folder: &'a Path,
    identity: u64,
    listing: Listing,
    /// Nothing may be changed, see [`inspect`].
    read_only: bool,
}

/// Recovers the journal in `folder`, or starts a new one. `options` must be normalized.
pub(crate) fn recover(
    disk: &Arc<Vault>,
    folder: &Path,
    options: &Options,
    visitor: &mut Visitor<'_>,
) -> Result<Recovery, OpenError> {
    let lock = prepare(disk.as_ref(), folder)?;
    let (mut context, meta) = look(disk.as_ref(), folder, options.identity)?;
    let mut delivery = Delivery::new(visitor);
    delivery.report.sealing = sealing(&context)?;
    if meta.exists && !meta.intact {
        delivery.report.notes.push(format!("{} was damaged and has been rebuilt", names::META));
    }
    let chosen = snapshot::replay(&context, &mut delivery)?;
    compact::settle(&mut context, chosen.at)?;
    let mut progress = Progress::new(chosen.at, meta.durable);
    progress.replay(&context, &mut delivery)?;
    let last = progress.next.previous();
    let spares = tidy(&context, options)?;
    let epoch = Epoch(meta.epoch.max(progress.epoch).max(chosen.epoch).0.saturating_add(1));
    let meta = MetaFile::create(disk.as_ref(), folder, context.identity, epoch, last)
        .map_err(disk_error("write the meta file", folder))?;
    let sizes = (options.segment_bytes, options.spare_segments_max);
    let segments = Segments::new(Arc::clone(disk), folder.to_path_buf(), sizes, spares);
    let report = RecoveryReport { epoch, last, snapshot_at: chosen.at, ..delivery.report };
    let previous_crc = progress.previous_crc;
    let continuation = Continuation { segments, meta, last, previous_crc, snapshot_bytes: chosen.len_bytes };
    let start = Start {
        epoch,
        last,
        snapshot_at: chosen.at,
        replayed_bytes: progress.replayed_bytes,
        segments: SegmentTable::new(options.keep_segments, chosen.at, progress.closed),
        batch_bytes_max: options.segment_bytes,
        keep_segments: options.keep_segments,
        identity: context.identity,
    };
    Ok(Recovery { start, continuation, report, damaged_snapshot: chosen.damaged, lock })
}

fn prepare(disk: &Vault, folder: &Path) -> Result<Box<dyn DiskLock>, OpenError> {
    // One after the other: whatever is confirmed in a folder is lost with the folder's own name.
    disk.create_folder(folder).map_err(disk_error("create the folder", folder))?;
    disk.create_folder(&folder.join(names::QUARANTINE)).map_err(disk_error("create the folder", folder))?;
    disk.lock(&folder.join(names::LOCK)).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => in_use(folder),
        _ => disk_error("lock the folder", folder)(source),
    })
}

fn look<'a>(disk: &'a Vault, folder: &'a Path, identity_if_new: u64) -> Result<(Context<'a>, Meta), OpenError> {
    let names = disk.list(folder).map_err(disk_error("list the files", folder))?;
    let mut context =
        Context { disk, folder, identity: identity_if_new, listing: Listing::new(names), read_only: false };
    let meta = meta::read(disk, folder).map_err(disk_error("read the meta file", folder))?;
    let meta = meta.map_err(|found| newer(names::META, found))?;
    let identity = meta.identity.or_else(|| snapshot::identity_of_files(&context));
    context.identity = identity.unwrap_or(identity_if_new);
    Ok((context, meta))
}

/// Which keys the files need. Before anything is looked at: what does not open would pass for torn.
fn sealing(context: &Context<'_>) -> Result<Sealing, OpenError> {
    let mut sealing = Sealing::default();
    for name in context.listing.names() {
        let key =
            context.disk.key_of(&context.folder.join(&name)).map_err(disk_error("open a file", context.folder))?;
        let folder = || context.folder.display().to_string();
        match key.map_err(|reason| OpenError::Sealed { file: name, folder: folder(), reason })? {
            Some(key) => *sealing.sealed.entry(key).or_default() += 1,
            None => sealing.bare += 1,
        }
    }
    Ok(sealing)
}

/// Removes left-overs, and returns the spares worth keeping.
fn tidy(context: &Context<'_>, options: &Options) -> Result<Vec<u64>, OpenError> {
    for name in &context.listing.temporary {
        let _ = context.disk.remove(&context.folder.join(name));
    }
    let mut kept = Vec::new();
    for spare in context.listing.spares.iter().copied() {
        let path = context.folder.join(names::spare(spare));
        let len_bytes = context.disk.open(&path).and_then(|file| file.len_bytes()).unwrap_or(0);
        if len_bytes == options.segment_bytes && kept.len() < options.spare_segments_max {
            kept.push(spare);
        } else {
            let _ = context.disk.remove(&path);
        }
    }
    context.disk.sync_folder(context.folder).map_err(disk_error("sync the folder", context.folder))?;
    Ok(kept)
}

fn disk_error(action: &'static str, folder: &Path) -> impl Fn(io::Error) -> OpenError {
    let folder = folder.display().to_string();
    move |source| OpenError::Disk { action, folder: folder.clone(), source }
}

fn in_use(folder: &Path) -> OpenError {
    OpenError::InUse { folder: folder.display().to_string() }
}

fn newer(file: &str, found: u16) -> OpenError {
    OpenError::NewerVersion { file: file.to_owned(), found, supported: FORMAT_VERSION }
}

/// Where a batch was kept.
#[derive(Clone, Copy)]
struct Kept<'a> {
    /// The batch and its segment; `None`: in a snapshot.
    batch: Option<(BatchSequence, BatchSequence)>,
    /// Position to name in a damage.
    at: BatchSequence,
    file: &'a str,
}

/// Passes finds on to the visitor and counts them.
struct Delivery<'a> {
    visitor: &'a mut Visitor<'a>,
    report: RecoveryReport,
    /// What is delivered now comes from the snapshot.
    in_snapshot: bool,
}

impl<'a> Delivery<'a> {
    fn new(visitor: &'a mut Visitor<'a>) -> Delivery<'a> {
        Delivery { visitor, report: RecoveryReport::default(), in_snapshot: false }
    }

    fn batch(&mut self, view: &BatchView<'_>, kept: Kept<'_>) {
        self.report.batches += u64::from(kept.batch.is_some());
        for (index, record) in view.records().enumerate() {
            match record {
                Ok(record) => self.record(kept, record),
                Err(damaged) => {
                    let what = format!("record {index} of batch {} in {} is damaged", view.header.sequence, kept.file);
                    self.damage(damaged.stream, (kept.at, kept.at), what);
                }
            }
        }
    }

    fn record(&mut self, kept: Kept<'_>, record: view::RecordView<'_>) {
        let view::RecordView { kind, stream, payload, offset, crc } = record;
        if let Some((sequence, segment)) = kept.batch {
            self.report.records += 1;
            let location = Location { segment, offset, length_bytes: payload.len() as u32, crc };
            (self.visitor)(Recovered::Record { sequence, location, kind, stream, payload });
        } else {
            self.report.snapshot_records += 1;
            (self.visitor)(Recovered::SnapshotRecord { kind, stream, payload });
        }
    }

    fn damage(&mut self, stream: Option<u64>, (first, last): (BatchSequence, BatchSequence), what: String) {
        let damage = Damage { stream, first, last, in_snapshot: self.in_snapshot, what };
        (self.visitor)(Recovered::Damaged(&damage));
        self.report.damages += 1;
        if self.report.damaged.len() < DAMAGES_LISTED_MAX {
            self.report.damaged.push(damage);
        }
    }
}
