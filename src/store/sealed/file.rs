//! The blocks of a sealed file: `counter | ciphertext | tag`, one sector each; the last may be shorter.
//!
//! A block's nonce is the counter, which grows with every block that is sealed under the file's key. Only who made the key writes with it:
//! after a restart a file is read, cut and removed, and never written. So a nonce is never used twice, also not when a
//! write that failed is made again with other batches. The block's number is authenticated with it: a block opens in its file
//! and in its place, and nowhere else.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::header::BLOCKS_AT;
use crate::disk::{DiskFile, write_all_at};
use crate::format::SECTOR_BYTES;

const COUNTER_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// What a block needs beside its contents.
const EXTRA_BYTES: u64 = (COUNTER_BYTES + TAG_BYTES) as u64;
/// Contents of a block: a multiple of the journal's alignment.
pub(crate) const PLAIN_BYTES: u64 = SECTOR_BYTES - EXTRA_BYTES;
/// Blocks that are sealed and written at once.
const BLOCKS_PER_WRITE: usize = 512;
/// Blocks that are read and opened at once.
const BLOCKS_PER_READ: u64 = 128;

/// A file whose contents are sealed.
pub(super) struct SealedFile {
    file: Arc<dyn DiskFile>,
    key: LessSafeKey,
    /// Stands for what does not open: unlike zeros, it is not what anybody could have made a record of.
    noise: [u8; 8],
    /// `None`: it is not to be written.
    sealer: Option<Mutex<Sealer>>,
}

/// What is kept from write to write.
#[derive(Default)]
struct Sealer {
    counter: u64,
    buffer: Vec<u8>,
}

impl SealedFile {
    pub(super) fn to_read(file: Arc<dyn DiskFile>, key: LessSafeKey) -> SealedFile {
        let mut noise = [0; 8];
        // Without randomness it would be zeros, and what was damaged would still be found by its checksum.
        let _ = aws_lc_rs::rand::fill(&mut noise);
        SealedFile { file, key, noise, sealer: None }
    }

    /// `key` is new, and nobody else has it.
    pub(super) fn to_write(file: Arc<dyn DiskFile>, key: LessSafeKey) -> SealedFile {
        SealedFile { sealer: Some(Mutex::default()), ..SealedFile::to_read(file, key) }
    }

    fn seal(&self, sealer: &mut Sealer, number: u64, contents: &mut Contents<'_, '_>) -> io::Result<()> {
        let Sealer { counter, buffer } = sealer;
        buffer.extend_from_slice(&counter.to_le_bytes());
        let start = buffer.len();
        contents.take(PLAIN_BYTES as usize, buffer);
        let tag = self.key.seal_in_place_separate_tag(nonce(*counter), place(number), &mut buffer[start..]);
        *counter += 1;
        buffer.extend_from_slice(tag.map_err(|_| io::Error::other("a block cannot be sealed"))?.as_ref());
        Ok(())
    }

    /// The contents of a block, or noise of the same length.
    fn open<'a>(&self, number: u64, block: &'a mut [u8]) -> &'a [u8] {
        let Some((counter, sealed)) = block.split_first_chunk_mut::<COUNTER_BYTES>() else { return &[] };
        let length_bytes = sealed.len().saturating_sub(TAG_BYTES);
        let nonce = nonce(u64::from_le_bytes(*counter));
        if self.key.open_in_place(nonce, place(number), sealed).is_err() {
            sealed.chunks_mut(self.noise.len()).for_each(|part| part.copy_from_slice(&self.noise[..part.len()]));
        }
        &sealed[..length_bytes]
    }

    /// Reads from the start of block `first`; fewer bytes at the end of the file.
    fn read_blocks(&self, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (count * SECTOR_BYTES) as usize];
        let (start, mut filled) = (BLOCKS_AT + first * SECTOR_BYTES, 0);
        while filled < bytes.len() {
            match self.file.read_at(start + filled as u64, &mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..COUNTER_BYTES].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn place(number: u64) -> Aad<[u8; 8]> {
    Aad::from(number.to_le_bytes())
}

/// Where in the file so many bytes of contents end.
fn sealed_bytes(plain_bytes: u64) -> u64 {
    let rest = plain_bytes % PLAIN_BYTES;
    let last = if rest > 0 { rest + EXTRA_BYTES } else { 0 };
    BLOCKS_AT + plain_bytes / PLAIN_BYTES * SECTOR_BYTES + last
}

/// How much contents a file of that size has.
fn plain_bytes(sealed_bytes: u64) -> u64 {
    let blocks = sealed_bytes.saturating_sub(BLOCKS_AT);
    blocks / SECTOR_BYTES * PLAIN_BYTES + (blocks % SECTOR_BYTES).saturating_sub(EXTRA_BYTES)
}

impl DiskFile for SealedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes().map(plain_bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (first, mut skipped) = (offset / PLAIN_BYTES, (offset % PLAIN_BYTES) as usize);
        let count = (skipped as u64 + buffer.len() as u64).div_ceil(PLAIN_BYTES).min(BLOCKS_PER_READ);
        let mut blocks = self.read_blocks(first, count)?;
        let mut filled = 0;
        for (number, block) in (first..).zip(blocks.chunks_mut(SECTOR_BYTES as usize)) {
            let contents = self.open(number, block).get(skipped..).unwrap_or_default();
            let count = contents.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&contents[..count]);
            filled += count;
            skipped = 0;
        }
        Ok(filled)
    }

    /// Writes all of it, from the start of a block on.
    fn write_vectored_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let sealer = self.sealer.as_ref().filter(|_| offset.is_multiple_of(PLAIN_BYTES));
        let sealer = sealer.ok_or_else(|| io::Error::other("a sealed file is not written there"))?;
        let mut sealer = sealer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut contents = Contents::new(parts);
        let mut number = offset / PLAIN_BYTES;
        while contents.rest_bytes > 0 {
            let start = BLOCKS_AT + number * SECTOR_BYTES;
            sealer.buffer.clear();
            while contents.rest_bytes > 0 && sealer.buffer.len() < BLOCKS_PER_WRITE * SECTOR_BYTES as usize {
                self.seal(&mut sealer, number, &mut contents)?;
                number += 1;
            }
            write_all_at(self.file.as_ref(), start, &mut [IoSlice::new(&sealer.buffer)])?;
        }
        Ok(contents.len_bytes)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.allocate(sealed_bytes(len_bytes))
    }

    /// Cuts behind the block that the contents end in: half of it would not open.
    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        let end = sealed_bytes(len_bytes.next_multiple_of(PLAIN_BYTES));
        self.file.truncate(end.min(self.file.len_bytes()?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The bytes of a vectored write, taken piece by piece.
struct Contents<'a, 'b> {
    parts: &'a [IoSlice<'b>],
    /// Taken of the first part.
    taken: usize,
    rest_bytes: usize,
    len_bytes: usize,
}

impl<'a, 'b> Contents<'a, 'b> {
    fn new(parts: &'a [IoSlice<'b>]) -> Contents<'a, 'b> {
        let len_bytes = parts.iter().map(|part| part.len()).sum();
        Contents { parts, taken: 0, rest_bytes: len_bytes, len_bytes }
    }

    /// Appends up to `count` bytes to `buffer`.
    fn take(&mut self, mut count: usize, buffer: &mut Vec<u8>) {
        while let Some(part) = self.parts.first().filter(|_| count > 0) {
            let rest = &part[self.taken..];
            let piece = &rest[..rest.len().min(count)];
            buffer.extend_from_slice(piece);
            (count, self.rest_bytes) = (count - piece.len(), self.rest_bytes - piece.len());
            self.taken += piece.len();
            if self.taken == part.len() {
                (self.parts, self.taken) = (&self.parts[1..], 0);
            }
        }
    }
}
