//! Writes a data directory anew: what damage has left goes into new records and snapshots, and damaged files are set aside.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use crossdock_common::Format;
use crossdock_core::{Broker, Location, Needs, Partition, Repaired, Salvage, Sequence, ShardReplay};
use crossdock_store::{BatchSequence, Journal, JournalEvent, JournalStatus, SegmentInfo};

use super::clock::Clock;
use super::journal_log::{SnapshotLog, to_store};
use super::replay::{Opened, read_pages, read_those_pages};
use super::start::{partition, recover};
use super::startup::Startup;
use crate::config::Settings;

/// How long freeing segments may take.
const FREEING_MAX: Duration = Duration::from_secs(30);

/// What is wrong with one journal.
#[derive(Default)]
pub struct Faults {
    /// First and last of batches that are damaged.
    pub batches: Vec<(BatchSequence, BatchSequence)>,
    /// Messages that are not where they should be.
    pub lost: HashSet<Location>,
    /// Finds messages whose references are lost.
    pub salvage: Salvage,
}

/// What became of it.
#[derive(Default)]
pub struct Outcome {
    /// Messages that were found again though the references to them are lost.
    pub found: Vec<Repaired>,
    /// Messages that cannot be read.
    pub given_up: Vec<Repaired>,
}

/// Opens the journals in `settings.data_dir` (which cuts torn ends), moves what is readable out of damaged segments, writes a
/// snapshot of each, and closes them. `faults` are those of the journals with these names.
///
/// # Errors
/// The directory cannot be used, or a snapshot cannot be written.
pub async fn rewrite(
    settings: &Settings,
    formats: Vec<&'static dyn Format>,
    faults: &BTreeMap<String, Faults>,
) -> Result<Outcome> {
    let clock = Clock::start();
    let outcome = Mutex::new(Outcome::default());
    let complete = |name: &str, shard: &mut ShardReplay<'_>, journal: &dyn Journal| match faults.get(name) {
        None => read_pages(name, shard, journal),
        Some(faults) => {
            let of_shard = mend(shard, (name, journal), faults);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            outcome.found.extend(of_shard.found);
            outcome.given_up.extend(of_shard.given_up);
        }
    };
    let (broker, opened) = recover(settings, formats, clock, (&Startup::default(), 0), &complete)?;
    for (index, journal) in opened.iter().enumerate() {
        write_snapshot(&broker, partition(index), journal, clock).await?;
    }
    for one in &opened {
        one.journal.close()?;
    }
    drop(broker);
    Ok(outcome.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Completes the replay of a damaged journal.
fn mend(shard: &mut ShardReplay<'_>, (name, journal): (&str, &dyn Journal), faults: &Faults) -> Outcome {
    let pages = shard.all_pages();
    read_those_pages(shard, (name, journal), &pages);
    let found = shard.salvage(&faults.salvage);
    let segments = journal.segments();
    let damaged = damaged(&segments, &faults.batches);
    damaged.iter().for_each(|segment| journal.condemn(*segment));
    let existing: HashSet<_> = segments.iter().map(|info| info.first).collect();
    let is_doubtful = |location: &Location| {
        let segment = to_store(*location).segment;
        damaged.contains(&segment) || !existing.contains(&segment) || faults.lost.contains(location)
    };
    let mut reader = journal.reader();
    let mut read = |location| {
        let mut read = Vec::new();
        reader.read(&[to_store(location)], &mut read);
        read.pop()?.ok()
    };
    let given_up = shard.evacuate(&is_doubtful, &mut read);
    Outcome { found, given_up }
}

/// The segments that hold any of the batches.
fn damaged(segments: &[SegmentInfo], batches: &[(BatchSequence, BatchSequence)]) -> HashSet<BatchSequence> {
    let hit = |info: &&SegmentInfo| {
        let last = info.last.unwrap_or(BatchSequence(u64::MAX));
        batches.iter().any(|(from, to)| *from <= last && info.first <= *to)
    };
    segments.iter().filter(hit).map(|info| info.first).collect()
}

async fn write_snapshot(
    broker: &std::sync::Arc<Broker>,
    partition: Partition,
    opened: &Opened,
    clock: Clock,
) -> Result<()> {
    let mark = broker.write_mark(partition);
    wait_until_durable(opened, mark).await?;
    broker.durable(partition, mark, clock.now());
    let mut log = SnapshotLog::default();
    let Some(point) = broker.snapshot(partition, clock.now(), &mut log) else { return Ok(()) };
    opened.journal.snapshot(BatchSequence(point.replay_after.0), log.builder.finish())?;
    wait_for_snapshot(opened).await?;
    if let Partition::Shard(index) = partition {
        broker.snapshot_ended(index, true);
        // What is damaged goes into quarantine only while the journal is open. If that takes too long, the check that follows says so.
        let _ = tokio::time::timeout(FREEING_MAX, freed(broker, index, opened, clock)).await;
    }
    Ok(())
}

/// Waits until the segments that nothing needs any more are gone.
async fn freed(broker: &std::sync::Arc<Broker>, index: usize, opened: &Opened, clock: Clock) {
    while is_freeing(&broker.needs(index), &opened.journal.segments()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        // The shard may have gone on to write pages, whose places it learns then.
        broker.durable(Partition::Shard(index), Sequence(opened.journal.durable().0), clock.now());
    }
}

/// Some segment is not needed any more, and still there.
fn is_freeing(needs: &Needs, segments: &[SegmentInfo]) -> bool {
    let is_needed = |info: &SegmentInfo| {
        let uses = needs.segments.iter().find(|uses| uses.segment.get() == info.first.0);
        uses.is_some_and(|uses| uses.live.count > 0)
    };
    segments.iter().any(|info| info.covered && !is_needed(info))
}

async fn wait_until_durable(opened: &Opened, sequence: Sequence) -> Result<()> {
    while opened.journal.durable().0 < sequence.0 {
        if opened.journal.status() != JournalStatus::Healthy {
            bail!("{} cannot be written: {:?}", opened.name, opened.journal.status());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn wait_for_snapshot(opened: &Opened) -> Result<()> {
    loop {
        for event in opened.signals.take_changes() {
            match event {
                JournalEvent::SnapshotDone(_) => return Ok(()),
                JournalEvent::SnapshotFailed(why) | JournalEvent::Failed(why) => bail!("{}: {why}", opened.name),
                _ => {}
            }
        }
        opened.signals.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_batches_lead_to_their_segments() {
        let segment = |first, last: Option<u64>| SegmentInfo {
            first: BatchSequence(first),
            last: last.map(BatchSequence),
            len_bytes: 0,
            covered: false,
            damaged: false,
        };
        let segments = [segment(1, Some(9)), segment(10, Some(19)), segment(20, None)];
        for (batch, expected) in [(1, 1), (9, 1), (10, 10), (19, 10), (20, 20), (99, 20)] {
            let batches = [(BatchSequence(batch), BatchSequence(batch))];
            assert_eq!(damaged(&segments, &batches), HashSet::from([BatchSequence(expected)]), "{batch}");
        }
        assert!(damaged(&segments, &[]).is_empty());
    }
}
