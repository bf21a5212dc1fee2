//! What the kernel asks, and what the disk answers.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::contents::{Contents, SECTOR_BYTES};
use super::files::{Files, Node};
use crate::support::pause;

/// The kernel asks about names and sizes each time.
const FORGOTTEN_AT_ONCE: Duration = Duration::ZERO;
/// The kernel keeps no contents, and a write comes as it was asked for.
const UNCACHED: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;
const BLOCK_BYTES: u32 = 4096;
/// 64 GiB: never full.
const FREE_BLOCKS: u64 = 16 << 20;
/// How long a sync takes: what is written meanwhile gathers, and power cuts fall into it.
const SYNC_TIME: Duration = Duration::from_millis(2);

/// The disk as `fuser` serves it. Files are not opened: everything goes by inode.
#[derive(Clone, Default)]
pub struct Served {
    files: Arc<Mutex<Files>>,
    is_off: Arc<AtomicBool>,
}

impl Served {
    /// From now on nothing is changed, and what was under way is not done.
    pub fn switch(&self, on: bool) {
        self.is_off.store(!on, Ordering::SeqCst);
    }

    /// The files, whether there is power or not.
    pub fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().expect("not poisoned")
    }

    /// The files while there is power.
    fn powered(&self) -> Result<MutexGuard<'_, Files>, Errno> {
        let files = self.files();
        if self.is_off.load(Ordering::SeqCst) { Err(Errno::EIO) } else { Ok(files) }
    }

    fn found(&self, folder: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let files = self.powered()?;
        let inode = files.find(folder.0, name)?;
        Ok(attributes(inode, files.node(inode)?))
    }

    fn added(&self, folder: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, Errno> {
        let mut files = self.powered()?;
        let inode = files.add((folder.0, name.to_owned()), node);
        Ok(attributes(inode, files.node(inode)?))
    }

    fn changed(&self, change: impl FnOnce(&mut Files) -> Result<(), Errno>) -> Result<(), Errno> {
        change(&mut *self.powered()?)
    }

    fn file_synced(&self, inode: u64) -> Result<(), Errno> {
        let begun = self.powered()?.file(inode)?.changes();
        pause(SYNC_TIME);
        self.changed(|files| files.file(inode).map(|file| file.sync(begun)))
    }

    fn folder_synced(&self, inode: u64) -> Result<(), Errno> {
        let begun = self.powered()?.names.changes();
        pause(SYNC_TIME);
        self.powered().map(|mut files| files.names.sync(inode, begun))
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

fn answer_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.entry(&FORGOTTEN_AT_ONCE, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, self.found(parent, name));
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.files().node(inode.0) {
            Ok(node) => reply.attr(&FORGOTTEN_AT_ONCE, &attributes(inode.0, node)),
            Err(error) => reply.error(error),
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
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resize = |size| self.changed(|files| files.file(inode.0).map(|file| file.resize(size as usize)));
        match size.map_or(Ok(()), resize) {
            Ok(()) => self.getattr(request, inode, handle, reply),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        answer_entry(reply, self.added(parent, name, Node::Folder));
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
        match self.added(parent, name, Node::File(Contents::default())) {
            Ok(attributes) => {
                reply.created(&FORGOTTEN_AT_ONCE, &attributes, Generation(0), FileHandle(0), UNCACHED);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.changed(|files| files.names.remove((parent.0, name.to_owned())).ok_or(Errno::ENOENT)));
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
        let (from, to) = ((parent.0, name.to_owned()), (new_parent.0, new_name.to_owned()));
        answer(reply, self.changed(|files| files.names.rename(from, to).ok_or(Errno::ENOENT)));
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
        let read = self.powered().and_then(|mut files| Ok(files.file(inode.0)?.read(offset as usize, size as usize)));
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
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
        match self.changed(|files| files.file(inode.0).map(|file| file.write(offset as usize, data))) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
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
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let extend = |file: &mut Contents| file.resize(file.len_bytes().max((offset + length) as usize));
        answer(reply, self.changed(|files| files.file(inode.0).map(extend)));
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.file_synced(inode.0));
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.folder_synced(inode.0));
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let files = self.files();
        for (index, (name, inode)) in files.names.list(inode.0).enumerate().skip(offset as usize) {
            let Ok(node) = files.node(inode) else { continue };
            if reply.add(INodeNo(inode), index as u64 + 1, attributes(inode, node).kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 0, u64::MAX, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
