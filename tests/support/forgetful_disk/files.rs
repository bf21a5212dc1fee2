//! Folders and files behind their inodes.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use crossdock_common::random::Random;
use fuser::Errno;

use super::Tally;
use super::contents::Contents;
use super::names::{Names, Place};

/// The root folder.
const ROOT: u64 = 1;

/// Everything on the disk.
pub struct Files {
    /// Which name leads to which inode.
    pub names: Names,
    nodes: BTreeMap<u64, Node>,
    /// Never given twice, so that nothing can be taken for what had its number before.
    next_inode: u64,
}

/// What a name leads to.
pub enum Node {
    Folder,
    File(Contents),
}

impl Default for Files {
    fn default() -> Self {
        Self { names: Names::default(), nodes: BTreeMap::from([(ROOT, Node::Folder)]), next_inode: ROOT + 1 }
    }
}

impl Files {
    /// What has that inode. What was removed is still there for those who have it open.
    pub fn node(&self, inode: u64) -> Result<&Node, Errno> {
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    /// A file's contents.
    pub fn file(&mut self, inode: u64) -> Result<&mut Contents, Errno> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(contents)) => Ok(contents),
            Some(Node::Folder) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    /// Where a name leads.
    pub fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.names.find(folder, name).ok_or(Errno::ENOENT)
    }

    /// Puts a new file or folder there.
    pub fn add(&mut self, place: Place, node: Node) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, node);
        self.names.put(place, inode);
        inode
    }

    /// Decides what is left when the power comes back.
    pub fn cut(&mut self, random: &mut Random) -> Tally {
        let mut tally = Tally::default();
        self.names.cut(random, &mut tally);
        let names = &self.names;
        self.nodes.retain(|&inode, _| inode == ROOT || names.lead_to(inode));
        for node in self.nodes.values_mut() {
            if let Node::File(contents) = node {
                contents.cut(random, &mut tally);
            }
        }
        tally
    }
}
