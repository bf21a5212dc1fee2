//! Topic patterns: words separated by dots, `*` for one word, `#` for any number of them.
//!
//! Matching walks all fitting branches at once, one word at a time, so its cost is bounded by the words of the key times
//! the nodes of the trie, whatever patterns like `#.#.#` people bind.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::binding::Binding;

type NodeId = u32;
const ROOT: NodeId = 0;

/// A set of bindings, found by the keys that their patterns match.
pub(crate) struct Trie {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
}

#[derive(Default)]
struct Node {
    words: Words,
    star: Option<NodeId>,
    hash: Option<NodeId>,
    is_hash: bool,
    bindings: Vec<Arc<Binding>>,
}

/// Nodes by word. Most have one: a device's number leads to what the device is sent.
enum Words {
    Few(Option<(Bytes, NodeId)>),
    Many(Box<HashMap<Bytes, NodeId, foldhash::fast::RandomState>>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl Words {
    fn get(&self, word: &[u8]) -> Option<NodeId> {
        match self {
            Self::Few(only) => only.as_ref().filter(|(known, _)| *known == word).map(|(_, id)| *id),
            Self::Many(all) => all.get(word).copied(),
        }
    }

    /// Adds a word that is not there yet.
    fn insert(&mut self, word: Bytes, id: NodeId) {
        match self {
            Self::Many(all) => drop(all.insert(word, id)),
            Self::Few(None) => *self = Self::Few(Some((word, id))),
            Self::Few(only) => *self = Self::Many(Box::new(only.take().into_iter().chain([(word, id)]).collect())),
        }
    }

    fn remove(&mut self, word: &[u8]) {
        match self {
            Self::Few(only) => drop(only.take_if(|(known, _)| *known == word)),
            Self::Many(all) => drop(all.remove(word)),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Few(only) => only.is_none(),
            Self::Many(all) => all.is_empty(),
        }
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl Trie {
    pub(crate) fn insert(&mut self, binding: Arc<Binding>) {
        let key = binding.spec.key.clone();
        let mut node = ROOT;
        for word in words(&key) {
            node = match self.child(node, word) {
                Some(child) => child,
                None => self.add_child(node, key.slice_ref(word)),
            };
        }
        let bindings = &mut self.nodes[node as usize].bindings;
        if bindings.is_empty() {
            bindings.reserve_exact(1);
        }
        bindings.push(binding);
    }

    pub(crate) fn remove(&mut self, binding: &Arc<Binding>) {
        let mut path: SmallVec<[(NodeId, &[u8]); 16]> = SmallVec::new();
        let mut node = ROOT;
        for word in words(&binding.spec.key) {
            path.push((node, word));
            let Some(child) = self.child(node, word) else { return };
            node = child;
        }
        self.nodes[node as usize].bindings.retain(|kept| !Arc::ptr_eq(kept, binding));
        while let Some((parent, word)) = path.pop() {
            if !self.nodes[node as usize].is_empty() {
                return;
            }
            self.drop_child(parent, word, node);
            node = parent;
        }
    }

    /// Calls `found` for every binding whose pattern matches the key.
    pub(crate) fn matches(&self, key: &[u8], mut found: impl FnMut(&Arc<Binding>)) {
        let mut active: SmallVec<[NodeId; 16]> = SmallVec::new();
        let mut next: SmallVec<[NodeId; 16]> = SmallVec::new();
        self.activate(&mut active, ROOT);
        for word in words(key) {
            next.clear();
            for &id in &active {
                let node = &self.nodes[id as usize];
                let followers = [node.words.get(word), node.star, node.is_hash.then_some(id)];
                followers.into_iter().flatten().for_each(|follower| self.activate(&mut next, follower));
            }
            next.sort_unstable();
            next.dedup();
            std::mem::swap(&mut active, &mut next);
        }
        active.sort_unstable();
        active.dedup();
        active.iter().flat_map(|&id| &self.nodes[id as usize].bindings).for_each(&mut found);
    }

    /// A node, and the `#` nodes below it, which match no word as well.
    fn activate(&self, active: &mut SmallVec<[NodeId; 16]>, mut id: NodeId) {
        active.push(id);
        while let Some(hash) = self.nodes[id as usize].hash {
            active.push(hash);
            id = hash;
        }
    }

    fn child(&self, node: NodeId, word: &[u8]) -> Option<NodeId> {
        let node = &self.nodes[node as usize];
        match word {
            b"*" => node.star,
            b"#" => node.hash,
            word => node.words.get(word),
        }
    }

    fn add_child(&mut self, parent: NodeId, word: Bytes) -> NodeId {
        let node = Node { is_hash: &word[..] == b"#", ..Node::default() };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                NodeId::try_from(self.nodes.len() - 1).unwrap_or(NodeId::MAX)
            }
        };
        let parent = &mut self.nodes[parent as usize];
        match &word[..] {
            b"*" => parent.star = Some(id),
            b"#" => parent.hash = Some(id),
            _ => parent.words.insert(word, id),
        }
        id
    }

    fn drop_child(&mut self, parent: NodeId, word: &[u8], child: NodeId) {
        let parent = &mut self.nodes[parent as usize];
        match word {
            b"*" => parent.star = None,
            b"#" => parent.hash = None,
            word => parent.words.remove(word),
        }
        self.free.push(child);
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.words.is_empty() && self.star.is_none() && self.hash.is_none()
    }
}

/// The words of a key; the empty key has none.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let count = if key.is_empty() { 0 } else { usize::MAX };
    key.split(|&byte| byte == b'.').take(count)
}

/// Whether one pattern matches one key: for retained messages, where the keys are many and the pattern is one.
pub(crate) fn pattern_matches(pattern: &[u8], key: &[u8]) -> bool {
    let pattern: SmallVec<[&[u8]; 16]> = words(pattern).collect();
    // Place i is active when the words so far fit the first i words of the pattern.
    let mut active: SmallVec<[bool; 17]> = SmallVec::from_elem(false, pattern.len() + 1);
    active[0] = true;
    skip_hashes(&pattern, &mut active);
    for word in words(key) {
        let mut next: SmallVec<[bool; 17]> = SmallVec::from_elem(false, pattern.len() + 1);
        for (place, &wanted) in pattern.iter().enumerate() {
            if active[place] && wanted == b"#" {
                next[place] = true;
            } else if active[place] && (wanted == b"*" || wanted == word) {
                next[place + 1] = true;
            }
        }
        active = next;
        skip_hashes(&pattern, &mut active);
    }
    active[pattern.len()]
}

fn skip_hashes(pattern: &[&[u8]], active: &mut [bool]) {
    for (place, &wanted) in pattern.iter().enumerate() {
        if active[place] && wanted == b"#" {
            active[place + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::binding::tests::binding;
    use super::*;

    fn matching(trie: &Trie, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        trie.matches(key.as_bytes(), |binding| {
            found.push(String::from_utf8_lossy(&binding.spec.key).into_owned());
        });
        found.sort();
        found
    }

    #[test]
    fn rabbitmq_examples() {
        let mut trie = Trie::default();
        for pattern in ["a.b.c", "a.*.c", "a.#.b", "a.b.b.c", "#", "#.#", "*", "#.b", "*.#", "*.*", "#.*.#", ""] {
            trie.insert(binding(pattern));
        }
        assert_eq!(matching(&trie, "a.b.c"), ["#", "#.#", "#.*.#", "*.#", "a.*.c", "a.b.c"]);
        assert_eq!(matching(&trie, "a.b"), ["#", "#.#", "#.*.#", "#.b", "*.#", "*.*", "a.#.b"]);
        assert_eq!(matching(&trie, ""), ["", "#", "#.#"]);
        assert_eq!(matching(&trie, "."), ["#", "#.#", "#.*.#", "*.#", "*.*"]);
    }

    #[test]
    fn what_is_removed_leaves_nothing() {
        let mut trie = Trie::default();
        let patterns: Vec<_> = ["a.b", "a.*.#", "#", "a"].into_iter().map(binding).collect();
        patterns.iter().for_each(|binding| trie.insert(binding.clone()));
        patterns.iter().for_each(|binding| trie.remove(binding));
        assert!(trie.nodes[0].is_empty() && trie.free.len() + 1 == trie.nodes.len());
    }

    #[test]
    fn hostile_pattern_is_cheap() {
        let mut trie = Trie::default();
        let pattern = "#.".repeat(120) + "x";
        trie.insert(binding(&pattern));
        let key = "a.".repeat(120);
        assert!(matching(&trie, &key).is_empty());
        assert!(!pattern_matches(pattern.as_bytes(), key.as_bytes()));
    }

    proptest! {
        #[test]
        fn trie_and_single_pattern_agree(pattern in "[ab*#](\\.[ab*#]){0,4}", key in "[ab]?(\\.[ab]){0,4}") {
            let mut trie = Trie::default();
            trie.insert(binding(&pattern));
            prop_assert_eq!(!matching(&trie, &key).is_empty(), pattern_matches(pattern.as_bytes(), key.as_bytes()));
        }
    }
}
