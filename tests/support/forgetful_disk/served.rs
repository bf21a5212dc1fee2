//! What the kernel asks, and what the files answer.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::contents::{Contents, SECTOR_BYTES};
use super::files::{Files, Node};

/// The kernel asks about names and sizes each time, and keeps no contents: what it sees is what is there.
const FORGOTTEN_AT_ONCE: Duration = Duration::ZERO;
const UNCACHED: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;
const BLOCK_BYTES: u32 = 4096;
/// 64 GiB in blocks: never full.
const FREE_BLOCKS: u64 = 16 << 20;

/// The file system as `fuser` serves it. Files do not need to be opened: everything goes by inode.
pub struct Served(pub Arc<Mutex<Files>>);

impl Served {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().expect("not poisoned")
    }
}

fn attributes(inode: u64, node: &Node) -> FileAttr {
    let (kind, perm, size) = match node {
        Node::Folder => (FileType::Directory, 0o755, 0),
        Node::File(contents) => (FileType::RegularFile, 0o644, contents.len_bytes() as u64),
    };
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(SECTOR_BYTES as u64),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.files().find(parent.0, name) {
            Some((inode, node)) => reply.entry(&FORGOTTEN_AT_ONCE, &attributes(inode, node), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.files().node(inode.0) {
            Some(node) => reply.attr(&FORGOTTEN_AT_ONCE, &attributes(inode.0, node)),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// Of all attributes only the size is kept.
    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if let (Some(file), Some(size)) = (self.files().file(inode.0), size) {
            file.resize(size as usize);
        }
        self.getattr(request, inode, handle, reply);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        let inode = self.files().add((parent.0, name.to_owned()), Node::Folder);
        reply.entry(&FORGOTTEN_AT_ONCE, &attributes(inode, &Node::Folder), Generation(0));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let inode = self.files().add((parent.0, name.to_owned()), Node::File(Contents::default()));
        let attributes = attributes(inode, &Node::File(Contents::default()));
        reply.created(&FORGOTTEN_AT_ONCE, &attributes, Generation(0), FileHandle(0), UNCACHED);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.files().names.remove((parent.0, name.to_owned())) {
            true => reply.ok(),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        match self.files().names.rename((parent.0, name.to_owned()), (new_parent.0, new_name.to_owned())) {
            true => reply.ok(),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), UNCACHED);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.files().file(inode.0) {
            Some(file) => reply.data(&file.read(offset as usize, size as usize)),
            None => reply.error(Errno::EISDIR),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.files().file(inode.0) {
            Some(file) => {
                file.write(offset as usize, data);
                reply.written(data.len() as u32);
            }
            None => reply.error(Errno::EISDIR),
        }
    }

    /// Reserves space and extends the file to it.
    fn fallocate(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        match self.files().file(inode.0) {
            Some(file) if mode == 0 => {
                file.resize(file.len_bytes().max((offset + length) as usize));
                reply.ok();
            }
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        if let Some(file) = self.files().file(inode.0) {
            file.sync();
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.files().names.sync(inode.0);
        reply.ok();
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let files = self.files();
        for (index, (name, inode)) in files.names.list(inode.0).enumerate().skip(offset as usize) {
            let kind = files.node(inode).map_or(FileType::RegularFile, |node| attributes(inode, node).kind);
            if reply.add(INodeNo(inode), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 0, u64::MAX, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
