//! Chooses and replays the snapshot.

use std::path::Path;

use super::report::{OpenError, Recovered};
use super::walk::{Entrance, Found, Walk};
use super::{Context, Delivery, Kept, disk_error, newer};
use crate::disk::read_whole;
use crate::format::Role;
use crate::names;
use crate::types::{BatchSequence, Epoch};

/// The snapshot recovery starts from.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) at: BatchSequence,
    pub(super) len_bytes: u64,
    pub(super) damaged: Option<BatchSequence>,
    pub(super) epoch: Epoch,
}

/// Replays the newest intact snapshot from which the segments go on, or else the newest, as far as it goes.
pub(super) fn replay(context: &Context<'_>, delivery: &mut Delivery<'_>) -> Result<Chosen, OpenError> {
    let snapshots = &context.listing.snapshots;
    let continues = |at: BatchSequence| context.listing.segments.first().is_some_and(|first| *first <= at.next());
    let mut epoch = Epoch::default();
    for (index, at) in snapshots.iter().rev().enumerate() {
        let file = Snapshot::read(context, *at)?;
        epoch = epoch.max(file.epoch);
        if file.intact && (index == 0 || continues(*at)) {
            set_aside_newer(context, *at, delivery);
            file.deliver(delivery)?;
            return Ok(Chosen { at: *at, len_bytes: file.bytes.len() as u64, damaged: None, epoch });
        }
    }
    let Some(at) = snapshots.last().copied() else { return Ok(Chosen { epoch, ..Chosen::default() }) };
    let file = Snapshot::read(context, at)?;
    file.deliver(delivery)?;
    Ok(Chosen { at, len_bytes: file.bytes.len() as u64, damaged: Some(at), epoch })
}

/// Damaged snapshots newer than the chosen one would be chosen again once the segments are trimmed.
fn set_aside_newer(context: &Context<'_>, at: BatchSequence, delivery: &mut Delivery<'_>) {
    for newer in context.listing.snapshots.iter().filter(|snapshot| **snapshot > at) {
        let name = names::snapshot(*newer);
        if !context.read_only {
            let _ = context.disk.rename(&context.folder.join(&name), &names::quarantined(context.folder, &name));
        }
        delivery
            .report
            .notes
            .push(format!("{name} is damaged; the older {} was used, nothing is lost", names::snapshot(at)));
    }
}

struct Snapshot {
    name: String,
    at: BatchSequence,
    identity: u64,
    bytes: Vec<u8>,
    intact: bool,
    epoch: Epoch,
}

impl Snapshot {
    fn read(context: &Context<'_>, at: BatchSequence) -> Result<Snapshot, OpenError> {
        let name = names::snapshot(at);
        let path = context.folder.join(&name);
        let file = context.disk.open_to_read(&path).map_err(disk_error("open a snapshot", context.folder))?;
        let mut bytes = Vec::new();
        read_whole(file.as_ref(), &mut bytes).map_err(disk_error("read a snapshot", context.folder))?;
        let mut snapshot = Snapshot { name, at, identity: context.identity, bytes, intact: false, epoch: Epoch(0) };
        let mut silent = |_: Recovered<'_>| ();
        let mut trial = Delivery::new(&mut silent);
        snapshot.epoch = snapshot.deliver(&mut trial)?;
        snapshot.intact = trial.report.damages == 0;
        Ok(snapshot)
    }

    /// Delivers all readable records. The file is complete by construction, so whatever is missing is damage.
    fn deliver(&self, delivery: &mut Delivery<'_>) -> Result<Epoch, OpenError> {
        delivery.in_snapshot = true;
        let epoch = self.walk(delivery);
        delivery.in_snapshot = false;
        epoch
    }

    fn walk(&self, delivery: &mut Delivery<'_>) -> Result<Epoch, OpenError> {
        let entrance = Entrance {
            identity: self.identity,
            expected: BatchSequence::FIRST,
            limit: None,
            proven: BatchSequence(u64::MAX),
            previous_crc: 0,
            epoch: Epoch(0),
        };
        let mut walk = Walk::new(&self.bytes, Role::Chunk, entrance);
        loop {
            match walk.next().map_err(|found| newer(&self.name, found))? {
                // The empty chunk at the end says that nothing is missing.
                Found::Batch(view) if view.header.records == 0 => return Ok(walk.epoch),
                Found::Batch(view) => {
                    let kept = Kept { batch: None, at: self.at, file: &self.name };
                    delivery.batch(&view, kept);
                }
                Found::Lost { .. } => {
                    let what = format!("part of {} is unreadable", self.name);
                    delivery.damage(None, (self.at, self.at), what);
                }
                Found::End { .. } => return Ok(walk.epoch),
            }
        }
    }
}

/// Identity of the journal if its meta file does not tell: the first readable header of any file does.
pub(super) fn identity_of_files(context: &Context<'_>) -> Option<u64> {
    context.listing.names().find_map(|name| identity_of_file(context, &context.folder.join(name)))
}

fn identity_of_file(context: &Context<'_>, path: &Path) -> Option<u64> {
    let mut bytes = [0; crate::format::HEADER_BYTES];
    context.disk.open_to_read(path).ok()?.read_at(0, &mut bytes).ok()?;
    crate::format::Header::decode(&bytes).ok().map(|header| header.identity)
}
