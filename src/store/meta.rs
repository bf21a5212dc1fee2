//! `journal.meta`: who this journal is, the epoch, and the seal. Two sectors far apart, each with its own checksum.
//!
//! The seal says up to where the journal was synced. It is written when the journal falls idle, without a sync of its own:
//! it is never wrong, only old. With it, recovery can tell a torn tail (not proven, cut) from damage (proven,
//! reported) in the last group of batches too.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::disk::{DiskFile, read_whole, write_all_at};
use crate::format::{FORMAT_VERSION, Header, HeaderError, Role, SECTOR_BYTES};
use crate::names;
use crate::sealed::Vault;
use crate::types::{BatchSequence, Epoch};

const SEAL_OFFSET: u64 = 4096;

/// What could be read of the meta file.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    /// The file exists.
    pub(crate) exists: bool,
    /// Both sectors are intact.
    pub(crate) intact: bool,
    pub(crate) identity: Option<u64>,
    pub(crate) epoch: Epoch,
    pub(crate) durable: BatchSequence,
}

/// Reads the meta file. `Ok(Err(version))`: written by a newer Crossdock.
pub(crate) fn read(disk: &Vault, folder: &Path) -> io::Result<Result<Meta, u16>> {
    let file = match disk.open_to_read(&folder.join(names::META)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(Meta::default())),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    read_whole(file.as_ref(), &mut bytes)?;
    let head = Header::decode(&bytes);
    let seal = Header::decode(bytes.get(SEAL_OFFSET as usize..).unwrap_or_default());
    if let Err(HeaderError::NewerVersion(version)) = head {
        return Ok(Err(version));
    }
    Ok(Ok(combine(head.ok(), seal.ok())))
}

fn combine(head: Option<Header>, seal: Option<Header>) -> Meta {
    let head = head.filter(|head| head.role == Role::Meta);
    let seal = seal.filter(|seal| seal.role == Role::Seal);
    let seal = seal.filter(|seal| head.is_none_or(|head| head.identity == seal.identity));
    Meta {
        exists: true,
        intact: head.is_some() && seal.is_some(),
        identity: head.or(seal).map(|header| header.identity),
        epoch: head.or(seal).map(|header| header.epoch).unwrap_or_default(),
        durable: seal.map(|seal| seal.durable).unwrap_or_default(),
    }
}

/// The meta file of the open journal.
pub(crate) struct MetaFile {
    file: Arc<dyn DiskFile>,
    identity: u64,
    epoch: Epoch,
    sealed: BatchSequence,
}

impl MetaFile {
    /// Replaces the meta file, atomically and durably.
    pub(crate) fn create(
        disk: &Vault,
        folder: &Path,
        identity: u64,
        epoch: Epoch,
        durable: BatchSequence,
    ) -> io::Result<MetaFile> {
        let temporary = folder.join(names::META_TEMPORARY);
        let file = disk.create_bare(&temporary)?;
        let mut meta = MetaFile { file, identity, epoch, sealed: durable };
        meta.write(0, Role::Meta, BatchSequence::NONE)?;
        meta.write(SEAL_OFFSET, Role::Seal, durable)?;
        meta.file.sync_data()?;
        disk.rename(&temporary, &folder.join(names::META))?;
        disk.sync_folder(folder)?;
        Ok(meta)
    }

    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Notes that everything up to `durable` has been synced.
    pub(crate) fn seal(&mut self, durable: BatchSequence) -> io::Result<()> {
        if durable != self.sealed {
            self.write(SEAL_OFFSET, Role::Seal, durable)?;
            self.sealed = durable;
        }
        Ok(())
    }

    /// Makes the seal durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&mut self, offset: u64, role: Role, durable: BatchSequence) -> io::Result<()> {
        let header = Header {
            version: FORMAT_VERSION,
            role,
            identity: self.identity,
            epoch: self.epoch,
            sequence: BatchSequence::NONE,
            durable,
            offset,
            length_bytes: SECTOR_BYTES as u32,
            records: 0,
            table_crc: 0,
            previous_crc: 0,
        };
        let mut sector = [0; SECTOR_BYTES as usize];
        let (bytes, _) = header.encode();
        sector[..bytes.len()].copy_from_slice(&bytes);
        write_all_at(self.file.as_ref(), offset, &mut [IoSlice::new(&sector)])
    }
}
