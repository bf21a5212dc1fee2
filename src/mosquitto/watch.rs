//! Changes of the files take effect while the broker runs: when they are seen, or at once on SIGHUP, as in Mosquitto.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::Files;
use crate::administration::Administration;

/// How often the files are looked at. Mounted secrets are replaced without a signal.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells that a file is another one: device, inode, length, seconds and nanoseconds of its last change.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Puts the files into effect whenever they change, for ever. Files that cannot be read leave in effect what was read before.
///
/// # Errors
/// SIGHUP cannot be listened for.
pub fn keep_up_to_date(files: Files, administration: Arc<Administration>) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut known = files.stamps();
    tokio::spawn(async move {
        loop {
            let is_asked = tokio::time::timeout(LOOK_EVERY, hangup.recv()).await.is_ok();
            let stamps = files.stamps();
            if !is_asked && stamps == known {
                continue;
            }
            known = stamps;
            let (files, administration) = (files.clone(), administration.clone());
            // A file of a hundred thousand users takes a while.
            let _ = tokio::task::spawn_blocking(move || reload(&files, &administration)).await;
        }
    });
    Ok(())
}

fn reload(files: &Files, administration: &Administration) {
    match files.read() {
        Ok(contents) => {
            tracing::info!(users = contents.users.len(), "Mosquitto's files are read again and in effect");
            administration.set_mosquitto(contents);
        }
        Err(error) => tracing::error!("{error:#}: what was read before stays in effect"),
    }
}

impl Files {
    fn stamps(&self) -> [Stamp; 2] {
        [stamp(self.passwords.as_ref()), stamp(self.acl.as_ref())]
    }
}

fn stamp(path: Option<&PathBuf>) -> Stamp {
    let facts = std::fs::metadata(path?).ok()?;
    Some((facts.dev(), facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
}
