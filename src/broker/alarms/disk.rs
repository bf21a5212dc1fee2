//! The disk alarm: stops publishers before the file system of the data directory is full, while there is still room for what
//! gives space back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Alarms, Reason};
use crate::telemetry::Metrics;
use crate::telemetry::events::{DiskEnough, DiskLow};

/// How often the file system is asked.
const CHECKED_EVERY: Duration = Duration::from_secs(1);

/// Raises and lifts the alarm for ever. `min_bytes` of 0 only measures.
pub(in crate::broker) async fn watch_disk(alarms: Arc<Alarms>, metrics: Arc<Metrics>, folder: PathBuf, min_bytes: u64) {
    metrics.set_disk_free_min(min_bytes);
    let mut ticks = tokio::time::interval(CHECKED_EVERY);
    let (mut low, mut readable) = (false, true);
    loop {
        ticks.tick().await;
        let free_bytes = match free_bytes(&folder) {
            Ok(free_bytes) => free_bytes,
            Err(error) => {
                if std::mem::replace(&mut readable, false) {
                    tracing::warn!(%error, "free disk space cannot be measured: the disk alarm stays as it is");
                }
                continue;
            }
        };
        readable = true;
        metrics.set_disk_free(free_bytes);
        low = is_low(low, free_bytes, min_bytes);
        match (alarms.set(Reason::DiskLow, low), low) {
            (true, true) => DiskLow { free_bytes, min_bytes }.emit(),
            (true, false) => DiskEnough { free_bytes, min_bytes }.emit(),
            (false, _) => {}
        }
    }
}

/// Lifted only with a fifth more than it was raised at, or it would flap.
fn is_low(was_low: bool, free_bytes: u64, min_bytes: u64) -> bool {
    free_bytes < if was_low { min_bytes.saturating_add(min_bytes / 5) } else { min_bytes }
}

/// What an ordinary user may still write to the folder's file system.
fn free_bytes(folder: &std::path::Path) -> std::io::Result<u64> {
    let figures = rustix::fs::statvfs(folder)?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_raised_below_the_limit_and_lifted_a_fifth_above() {
        for (was_low, free_bytes, low) in
            [(false, 100, false), (false, 99, true), (true, 100, true), (true, 119, true), (true, 120, false)]
        {
            assert_eq!(is_low(was_low, free_bytes, 100), low, "{was_low} {free_bytes}");
        }
        assert!(!is_low(false, 0, 0) && !is_low(true, 0, 0), "no limit");
    }

    #[test]
    fn free_space_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).is_ok());
        assert!(free_bytes(&folder.path().join("missing")).is_err());
    }
}
