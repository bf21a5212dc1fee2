//! Folders and files behind their inodes.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use crossdock_common::random::Random;

use super::Tally;
use super::contents::Contents;
use super::names::{Names, Place};

/// The root folder.
pub const ROOT: u64 = 1;

/// Everything on the disk.
pub struct Files {
    /// What the broker may change by itself, without a file of its own.
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
    pub fn node(&self, inode: u64) -> Option<&Node> {
        self.nodes.get(&inode)
    }

    /// A file's contents.
    pub fn file(&mut self, inode: u64) -> Option<&mut Contents> {
        match self.nodes.get_mut(&inode)? {
            Node::File(contents) => Some(contents),
            Node::Folder => None,
        }
    }

    /// Where a name leads, and what is there.
    pub fn find(&self, folder: u64, name: &OsStr) -> Option<(u64, &Node)> {
        let inode = self.names.find(folder, name)?;
        Some((inode, self.nodes.get(&inode)?))
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
