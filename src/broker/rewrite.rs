//! Writes a data directory anew: what damage has left goes into snapshots, and damaged files are set aside.

use anyhow::{Result, bail};
use crossdock_common::Format;
use crossdock_core::{Broker, Partition};
use crossdock_store::{BatchSequence, JournalEvent};

use super::clock::Clock;
use super::journal_log::SnapshotLog;
use super::replay::Opened;
use super::start::{partition, recover};
use super::startup::Startup;
use crate::config::Settings;

/// Opens the journals in `settings.data_dir` (which cuts torn ends), writes a snapshot of each, and closes them.
///
/// # Errors
/// The directory cannot be used, or a snapshot cannot be written.
pub async fn rewrite(settings: &Settings, formats: Vec<&'static dyn Format>) -> Result<()> {
    let clock = Clock::start();
    let (broker, opened) = recover(settings, formats, clock, &Startup::default(), 0)?;
    for (index, journal) in opened.iter().enumerate() {
        write_snapshot(&broker, partition(index), journal, clock).await?;
    }
    for one in &opened {
        one.journal.close()?;
    }
    Ok(())
}

async fn write_snapshot(broker: &Broker, partition: Partition, opened: &Opened, clock: Clock) -> Result<()> {
    let mut log = SnapshotLog::default();
    let point = broker.snapshot(partition, clock.now(), &mut log);
    let Some(point) = point.filter(|point| point.usable_after.0 > 0) else { return Ok(()) };
    opened.journal.snapshot(BatchSequence(point.replay_after.0), log.builder.finish())?;
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
