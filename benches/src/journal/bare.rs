//! The disk without a broker: one write into a preallocated file and one fdatasync for each batch.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Arguments, BODY_BYTES, median};
use crate::findings::Findings;
use crate::latency::Histogram;

/// The file is as large as a segment of the journal, and written over from its start when it is full.
const FILE_BYTES: usize = 64 << 20;

/// How long a turn of a broker lasts.
pub const SLICE: Duration = Duration::from_millis(200);

/// How long a turn of the bare disk lasts. Shorter: a virtual disk may give a budget of bytes, and the bare program would eat it up.
const BARE_SLICE: Duration = Duration::from_millis(50);

/// A file that is appended to.
pub struct Bare {
    file: File,
    at: usize,
}

impl Bare {
    /// Makes a file that nobody else sees, every block of it written once.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).context("the folder for data")?;
        file.write_all_at(&vec![0; FILE_BYTES], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// One write and one fdatasync.
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.at + bytes.len() > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at as u64)?;
        self.file.sync_data()?;
        self.at += bytes.len();
        Ok(())
    }

    /// Messages of 1 KiB per second, this many with each sync.
    ///
    /// # Errors
    /// The disk fails.
    pub fn messages_per_second(&mut self, batch: usize, time: Duration) -> Result<f64> {
        let bytes = vec![b'x'; batch.max(1) * BODY_BYTES];
        let (start, mut messages) = (Instant::now(), 0);
        while start.elapsed() < time {
            self.append(&bytes)?;
            messages += batch.max(1);
        }
        Ok(messages as f64 / start.elapsed().as_secs_f64())
    }

    /// How long one message of 1 KiB takes alone.
    ///
    /// # Errors
    /// The disk fails.
    pub fn latencies(&mut self, time: Duration) -> Result<Histogram> {
        let (bytes, mut histogram, start) = (vec![b'x'; BODY_BYTES], Histogram::default(), Instant::now());
        while start.elapsed() < time {
            let begun = Instant::now();
            self.append(&bytes)?;
            histogram.add(begun.elapsed());
        }
        Ok(histogram)
    }
}

/// Work of a broker and of the bare disk in turn, a slice of each: a disk that changes its pace changes it for both.
#[derive(Default)]
pub struct Turns {
    messages: f64,
    seconds: f64,
    bare_messages: f64,
    bare_seconds: f64,
}

impl Turns {
    /// The broker has done so many messages in that time; now it is the turn of the bare disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn add(&mut self, messages: u64, time: Duration, bare: &mut Bare, batch: u64) -> Result<()> {
        self.messages += messages as f64;
        self.seconds += time.as_secs_f64();
        let rate = bare.messages_per_second(batch as usize, BARE_SLICE)?;
        self.bare_messages += rate * BARE_SLICE.as_secs_f64();
        self.bare_seconds += BARE_SLICE.as_secs_f64();
        Ok(())
    }

    pub fn per_second(&self) -> f64 {
        self.messages / self.seconds
    }

    pub fn bare_per_second(&self) -> f64 {
        self.bare_messages / self.bare_seconds
    }

    /// What the broker makes of the disk.
    pub fn share(&self) -> f64 {
        self.per_second() / self.bare_per_second()
    }
}

/// Throughput at some batch sizes, and the latency of one.
///
/// # Errors
/// The disk fails.
pub fn measure(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let mut bare = Bare::in_folder(&arguments.folder)?;
    for batch in [64, 128, 256, 1024] {
        let runs = (0..arguments.runs).map(|_| bare.messages_per_second(batch, arguments.time()));
        let rate = median(runs.collect::<Result<_>>()?);
        findings.add("bare", "no broker", &format!("{batch} × 1 KiB with each fdatasync"), format!("{rate:.0}/s"));
    }
    let histogram = bare.latencies(arguments.time())?;
    let [p50, p99] = [0.5, 0.99].map(|share| histogram.percentile_ms(share).unwrap_or(f64::NAN));
    findings.add("bare", "no broker", "1 KiB and fdatasync, p50 / p99", format!("{p50:.3} / {p99:.3} ms"));
    Ok(())
}
