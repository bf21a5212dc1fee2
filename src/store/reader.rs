//! Reads payloads by location, beside the journal that writes, frees and cleans.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use thiserror::Error;

use crate::compact::{self, Map};
use crate::disk::DiskFile;
use crate::names;
use crate::sealed::Vault;
use crate::types::{BatchSequence, FilePlace, Location};

/// Reads the payloads of stored records. Each thread that reads has its own.
pub trait Reader: Send {
    /// Appends the payloads at `locations` to `out`, in the order asked. Neighbours in a segment are read together and
    /// share one allocation. Every payload is checked against its CRC.
    ///
    /// The segments must not have been released; that they are cleaned meanwhile does not matter.
    fn read(&mut self, locations: &[Location], out: &mut Vec<Result<Bytes, ReadError>>);
}

/// Why a payload can't be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The bytes are not those that were written.
    #[error("{} bytes from {place} on are damaged", .location.length_bytes)]
    Damaged { location: Location, place: FilePlace },
    /// The segment does not exist, or was cleaned of this record.
    #[error("the {} bytes at {} of segment {} are not there any more", .0.length_bytes, .0.offset, .0.segment)]
    Missing(Location),
    /// The disk refuses to work.
    #[error("read {} bytes at {} of segment {}: {reason}", .location.length_bytes, .location.offset, .location.segment)]
    Disk { location: Location, reason: String },
}

impl ReadError {
    /// What was asked for.
    pub fn location(&self) -> Location {
        match self {
            ReadError::Damaged { location, .. } | ReadError::Missing(location) | ReadError::Disk { location, .. } => {
                *location
            }
        }
    }
}

/// Files kept open.
const OPEN_FILES_MAX: usize = 8;
/// Payloads that lie no farther apart are read together.
const GAP_BYTES_MAX: u64 = 64 * 1024;
/// Most bytes of one read, unless a single payload is larger.
const RUN_BYTES_MAX: u64 = 1024 * 1024;

/// A segment open for reading.
pub(crate) struct OpenFile {
    file: Arc<dyn DiskFile>,
    /// Where the records of a compact file are.
    map: Option<ReadMap>,
}

/// As much of a compact file's map as reading needs.
struct ReadMap {
    /// Old place, length and new place, ascending.
    places: Vec<(u32, u32, u32)>,
    is_damaged: bool,
}

impl ReadMap {
    fn new(map: &Map) -> ReadMap {
        let places = map.entries.iter().map(|entry| (entry.old, entry.length_bytes, entry.new)).collect();
        ReadMap { places, is_damaged: map.damaged > 0 }
    }

    fn resolve(&self, location: Location) -> Result<u64, ReadError> {
        let wanted = (location.offset, location.length_bytes);
        match self.places.binary_search_by(|(old, length_bytes, _)| (*old, *length_bytes).cmp(&wanted)) {
            Ok(index) => Ok(u64::from(self.places[index].2)),
            Err(_) if self.is_damaged => Err(damaged_map(location)),
            Err(_) => Err(ReadError::Missing(location)),
        }
    }
}

impl OpenFile {
    /// Where in the file the payload begins.
    fn resolve(&self, location: Location) -> Result<u64, ReadError> {
        self.map.as_ref().map_or(Ok(u64::from(location.offset)), |map| map.resolve(location))
    }

    /// What begins at `start` is not what was written there.
    fn damaged(&self, location: Location, start: u64) -> ReadError {
        let file = match self.map {
            Some(_) => names::compact(location.segment),
            None => names::segment(location.segment),
        };
        ReadError::Damaged { location, place: FilePlace { file, offset_bytes: start } }
    }

    /// Reads so many bytes, or up to the end of the file.
    fn read(&self, offset: u64, length_bytes: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length_bytes];
        let mut filled = 0;
        while filled < length_bytes {
            match self.file.read_at(offset + filled as u64, &mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(Bytes::from(bytes))
    }
}

/// The files that readers have open, most recently used last. The journal drops those that it frees or replaces, so that
/// no forgotten handle holds their space.
pub(crate) struct OpenFiles {
    disk: Arc<Vault>,
    folder: PathBuf,
    identity: u64,
    files: Mutex<VecDeque<(BatchSequence, Arc<OpenFile>)>>,
}

impl OpenFiles {
    pub(crate) fn new(disk: Arc<Vault>, folder: PathBuf, identity: u64) -> OpenFiles {
        OpenFiles { disk, folder, identity, files: Mutex::default() }
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<(BatchSequence, Arc<OpenFile>)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opened under the lock: whoever replaces a file and then calls [`OpenFiles::forget`] leaves no stale handle.
    fn open(&self, segment: BatchSequence) -> io::Result<Arc<OpenFile>> {
        let mut files = self.files();
        let place = files.iter().position(|(first, _)| *first == segment);
        let entry = match place.and_then(|place| files.remove(place)) {
            Some(entry) => entry,
            None => (segment, Arc::new(self.open_file(segment)?)),
        };
        if files.len() == OPEN_FILES_MAX {
            files.pop_front();
        }
        let file = Arc::clone(&entry.1);
        files.push_back(entry);
        Ok(file)
    }

    fn open_file(&self, segment: BatchSequence) -> io::Result<OpenFile> {
        match self.disk.open_to_read(&self.folder.join(names::segment(segment))) {
            // A segment goes only after its compact file has come.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.open_compact(segment),
            file => Ok(OpenFile { file: file?, map: None }),
        }
    }

    fn open_compact(&self, segment: BatchSequence) -> io::Result<OpenFile> {
        let file = self.disk.open_to_read(&self.folder.join(names::compact(segment)))?;
        let map = compact::read_map(file.as_ref(), self.identity, segment)?;
        Ok(OpenFile { file, map: Some(ReadMap::new(&map)) })
    }

    /// Closes the file of `segment`: it has been freed or replaced.
    pub(crate) fn forget(&self, segment: BatchSequence) {
        self.files().retain(|(first, _)| *first != segment);
    }
}

/// The [`Reader`] of a journal in files.
pub(crate) struct FileReader {
    files: Arc<OpenFiles>,
}

/// A payload asked for: where it lies in its file, and the place of the answer.
#[derive(Clone, Copy)]
struct Wanted {
    start: u64,
    location: Location,
    answer: usize,
}

impl Wanted {
    fn end(&self) -> u64 {
        self.start + u64::from(self.location.length_bytes)
    }
}

impl FileReader {
    pub(crate) fn new(files: Arc<OpenFiles>) -> FileReader {
        FileReader { files }
    }

    /// Answers what is asked of one segment; `asked` is in ascending order.
    fn segment(&self, asked: &[(Location, usize)], answers: &mut [Result<Bytes, ReadError>]) {
        let mut again = Vec::new();
        match asked.first().map(|(location, _)| self.files.open(location.segment)) {
            Some(Ok(file)) => read_in_runs(&file, asked, answers, &mut again),
            _ => again.extend_from_slice(asked),
        }
        let Some((location, _)) = again.first() else { return };
        // The file may have been replaced since it was opened.
        self.files.forget(location.segment);
        let file = self.files.open(location.segment);
        for (location, answer) in again {
            answers[answer] = match &file {
                Ok(file) => read_one(file, location),
                Err(error) => Err(disk_error(location, error)),
            };
        }
    }
}

impl Reader for FileReader {
    fn read(&mut self, locations: &[Location], out: &mut Vec<Result<Bytes, ReadError>>) {
        let start = out.len();
        out.resize(start + locations.len(), Ok(Bytes::new()));
        let mut asked: Vec<(Location, usize)> = locations.iter().copied().zip(start..).collect();
        // An empty payload lies nowhere.
        asked.retain(|(location, _)| location.length_bytes > 0);
        asked.sort_unstable();
        for of_segment in asked.chunk_by(|left, right| left.0.segment == right.0.segment) {
            self.segment(of_segment, out);
        }
    }
}

/// Reads neighbours together. What does not come out right goes to `again`.
fn read_in_runs(
    file: &OpenFile,
    asked: &[(Location, usize)],
    answers: &mut [Result<Bytes, ReadError>],
    again: &mut Vec<(Location, usize)>,
) {
    let mut wanted = Vec::with_capacity(asked.len());
    for (location, answer) in asked.iter().copied() {
        match file.resolve(location) {
            Ok(start) => wanted.push(Wanted { start, location, answer }),
            Err(_) => again.push((location, answer)),
        }
    }
    let mut rest = wanted.as_slice();
    while let Some(first) = rest.first() {
        let (count, end) = run(rest, first.start);
        let (taken, behind) = rest.split_at(count);
        let bytes = file.read(first.start, (end - first.start) as usize).unwrap_or_default();
        for one in taken {
            let from = (one.start - first.start) as usize;
            match checked(&bytes, from, one.location) {
                Some(payload) => answers[one.answer] = Ok(payload),
                None => again.push((one.location, one.answer)),
            }
        }
        rest = behind;
    }
}

/// How many of `wanted` are read together, and where that read ends.
fn run(wanted: &[Wanted], start: u64) -> (usize, u64) {
    let mut end = start;
    let count = wanted.iter().take_while(|next| {
        let joins = end == start || (next.start <= end + GAP_BYTES_MAX && next.end() - start <= RUN_BYTES_MAX);
        if joins {
            end = end.max(next.end());
        }
        joins
    });
    (count.count(), end)
}

fn read_one(file: &OpenFile, location: Location) -> Result<Bytes, ReadError> {
    let start = file.resolve(location)?;
    let bytes = file.read(start, location.length_bytes as usize).map_err(|error| disk_error(location, &error))?;
    checked(&bytes, 0, location).ok_or_else(|| file.damaged(location, start))
}

/// The payload in `bytes`, if it is all there and what was written.
fn checked(bytes: &Bytes, from: usize, location: Location) -> Option<Bytes> {
    let to = from + location.length_bytes as usize;
    let payload = (to <= bytes.len()).then(|| bytes.slice(from..to))?;
    (crc32c::crc32c(&payload) == location.crc).then_some(payload)
}

fn disk_error(location: Location, error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound => ReadError::Missing(location),
        io::ErrorKind::InvalidData => damaged_map(location),
        _ => ReadError::Disk { location, reason: error.to_string() },
    }
}

/// Where the record is in its compact file cannot be told: what says so, at the start of the file, is damaged.
fn damaged_map(location: Location) -> ReadError {
    ReadError::Damaged { location, place: FilePlace { file: names::compact(location.segment), offset_bytes: 0 } }
}
