//! Topic patterns: words separated by dots, `*` for one word, `#` for any number of them.
//!
//! Matching walks all fitting branches at once, one word at a time, so its cost is bounded by the words of the key times
//! the nodes of the trie, whatever patterns like `#.#.#` people bind.
//!
//! A branch that leads to one binding only is not spread out into nodes: its binding is there in their place, as a leaf, and the rest
//! of its pattern is compared word by word. So a million filters of a million devices take a few bytes each.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::binding::Binding;

type NodeId = u32;
const ROOT: NodeId = 0;

/// A set of bindings, found by the keys that their patterns match.
pub(crate) struct Trie {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    hasher: foldhash::fast::RandomState,
}

#[derive(Default)]
struct Node {
    /// The word that leads here.
    word: Box<[u8]>,
    words: Words,
    star: Option<NodeId>,
    hash: Option<NodeId>,
    is_hash: bool,
    bindings: Vec<Arc<Binding>>,
}

/// What a word leads to.
#[derive(Clone)]
enum Child {
    Node(NodeId),
    Leaf(Leaf),
}

/// A binding that is alone behind its word.
#[derive(Clone)]
struct Leaf {
    binding: Arc<Binding>,
    /// Where the rest of its pattern begins.
    rest_at: u32,
}

/// Children by word. Most nodes have one.
enum Words {
    Few(Option<Child>),
    Many(Box<HashTable<Child>>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl Words {
    fn is_empty(&self) -> bool {
        match self {
            Self::Few(only) => only.is_none(),
            Self::Many(all) => all.is_empty(),
        }
    }
}

impl Leaf {
    /// The word that leads to it.
    fn word(&self) -> &[u8] {
        let before = &self.binding.spec.key[..self.rest_at as usize - 1];
        before.rsplit(|&byte| byte == b'.').next().unwrap_or_default()
    }

    /// Whether the rest of its pattern matches the rest of a key, which begins at `at`.
    fn matches(&self, key: &[u8], at: usize) -> bool {
        let mut key = words_from(key, at);
        for (word, _) in words_from(&self.binding.spec.key, self.rest_at as usize) {
            if word == b"#" {
                return true;
            }
            if !key.next().is_some_and(|(own, _)| word == b"*" || word == own) {
                return false;
            }
        }
        key.next().is_none()
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new(), hasher: foldhash::fast::RandomState::default() }
    }
}

impl Trie {
    pub(crate) fn insert(&mut self, binding: Arc<Binding>) {
        self.insert_below(ROOT, binding, 0);
    }

    /// Inserts what is left of the binding's pattern from there on.
    fn insert_below(&mut self, mut node: NodeId, binding: Arc<Binding>, at: usize) {
        for (word, next) in words_from(&binding.spec.key, at) {
            node = match self.child(node, word) {
                Some(Child::Node(child)) => child,
                Some(Child::Leaf(other)) => self.spread(node, word, other),
                None if is_wild(word) || !can_be_leaf(&binding.spec.key, next) => self.add_node(node, word),
                None => {
                    let rest_at = u32::try_from(next).unwrap_or(u32::MAX);
                    return self.add_child(node, word, Child::Leaf(Leaf { binding: binding.clone(), rest_at }));
                }
            };
        }
        let bindings = &mut self.nodes[node as usize].bindings;
        if bindings.is_empty() {
            bindings.reserve_exact(1);
        }
        bindings.push(binding);
    }

    /// A leaf is not alone any more: it goes below a node of its own.
    fn spread(&mut self, parent: NodeId, word: &[u8], leaf: Leaf) -> NodeId {
        self.drop_child(parent, word);
        let node = self.add_node(parent, word);
        self.insert_below(node, leaf.binding, leaf.rest_at as usize);
        node
    }

    pub(crate) fn remove(&mut self, binding: &Arc<Binding>) {
        let mut path: SmallVec<[(NodeId, &[u8]); 16]> = SmallVec::new();
        let mut node = ROOT;
        for (word, _) in words_from(&binding.spec.key, 0) {
            match self.child(node, word) {
                Some(Child::Node(child)) => {
                    path.push((node, word));
                    node = child;
                }
                Some(Child::Leaf(leaf)) if Arc::ptr_eq(&leaf.binding, binding) => {
                    self.drop_child(node, word);
                    return self.prune(node, path);
                }
                _ => return,
            }
        }
        self.nodes[node as usize].bindings.retain(|kept| !Arc::ptr_eq(kept, binding));
        self.prune(node, path);
    }

    /// Removes nodes that lead nowhere, from the end of the path.
    fn prune(&mut self, mut node: NodeId, mut path: SmallVec<[(NodeId, &[u8]); 16]>) {
        while let Some((parent, word)) = path.pop() {
            if !self.nodes[node as usize].is_empty() {
                return;
            }
            self.drop_child(parent, word);
            self.nodes[node as usize] = Node::default();
            self.free.push(node);
            node = parent;
        }
    }

    /// Calls `found` for every binding whose pattern matches the key.
    pub(crate) fn matches(&self, key: &[u8], mut found: impl FnMut(&Arc<Binding>)) {
        let mut active: SmallVec<[NodeId; 16]> = SmallVec::new();
        let mut next: SmallVec<[NodeId; 16]> = SmallVec::new();
        let mut leaves: SmallVec<[&Arc<Binding>; 4]> = SmallVec::new();
        self.activate(&mut active, ROOT);
        for (word, rest_at) in words_from(key, 0) {
            next.clear();
            for &id in &active {
                let node = &self.nodes[id as usize];
                let follower = match self.find(node, word) {
                    Some(Child::Node(child)) => Some(*child),
                    Some(Child::Leaf(leaf)) => {
                        leaves.extend(leaf.matches(key, rest_at).then_some(&leaf.binding));
                        None
                    }
                    None => None,
                };
                let followers = [follower, node.star, node.is_hash.then_some(id)];
                followers.into_iter().flatten().for_each(|follower| self.activate(&mut next, follower));
            }
            next.sort_unstable();
            next.dedup();
            std::mem::swap(&mut active, &mut next);
        }
        active.sort_unstable();
        active.dedup();
        // Behind a `#` a leaf is come to again and again.
        leaves.sort_unstable_by_key(|leaf| Arc::as_ptr(leaf));
        leaves.dedup_by_key(|leaf| Arc::as_ptr(leaf));
        active.iter().flat_map(|&id| &self.nodes[id as usize].bindings).for_each(&mut found);
        leaves.into_iter().for_each(found);
    }

    /// A node, and the `#` nodes below it, which match no word as well.
    fn activate(&self, active: &mut SmallVec<[NodeId; 16]>, mut id: NodeId) {
        active.push(id);
        while let Some(hash) = self.nodes[id as usize].hash {
            active.push(hash);
            id = hash;
        }
    }

    /// What the pattern's word leads to.
    fn child(&self, node: NodeId, word: &[u8]) -> Option<Child> {
        let node = &self.nodes[node as usize];
        match word {
            b"*" => node.star.map(Child::Node),
            b"#" => node.hash.map(Child::Node),
            word => self.find(node, word).cloned(),
        }
    }

    /// What the key's word leads to, wildcards aside.
    fn find<'a>(&'a self, node: &'a Node, word: &[u8]) -> Option<&'a Child> {
        match &node.words {
            Words::Few(only) => only.as_ref().filter(|child| self.word_of(child) == word),
            Words::Many(all) => all.find(self.hasher.hash_one(word), |child| self.word_of(child) == word),
        }
    }

    fn word_of<'a>(&'a self, child: &'a Child) -> &'a [u8] {
        match child {
            Child::Node(id) => &self.nodes[*id as usize].word,
            Child::Leaf(leaf) => leaf.word(),
        }
    }

    fn add_node(&mut self, parent: NodeId, word: &[u8]) -> NodeId {
        let node = Node { word: word.into(), is_hash: word == b"#", ..Node::default() };
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
        self.add_child(parent, word, Child::Node(id));
        id
    }

    /// Adds what a word leads to that led nowhere.
    fn add_child(&mut self, parent: NodeId, word: &[u8], child: Child) {
        let node = &mut self.nodes[parent as usize];
        match (word, &child) {
            (b"*", Child::Node(id)) => node.star = Some(*id),
            (b"#", Child::Node(id)) => node.hash = Some(*id),
            _ => {
                let words = std::mem::take(&mut node.words);
                let words = self.with_child(words, word, child);
                self.nodes[parent as usize].words = words;
            }
        }
    }

    fn with_child(&self, words: Words, word: &[u8], child: Child) -> Words {
        let hash_of = |child: &Child| self.hasher.hash_one(self.word_of(child));
        let mut all = match words {
            Words::Few(None) => return Words::Few(Some(child)),
            Words::Few(Some(only)) => {
                let mut all = Box::new(HashTable::new());
                all.insert_unique(hash_of(&only), only, hash_of);
                all
            }
            Words::Many(all) => all,
        };
        all.insert_unique(self.hasher.hash_one(word), child, hash_of);
        Words::Many(all)
    }

    fn drop_child(&mut self, parent: NodeId, word: &[u8]) {
        let node = &mut self.nodes[parent as usize];
        match word {
            b"*" => node.star = None,
            b"#" => node.hash = None,
            word => {
                let mut words = std::mem::take(&mut node.words);
                self.forget(&mut words, word);
                self.nodes[parent as usize].words = words;
            }
        }
    }

    fn forget(&self, words: &mut Words, word: &[u8]) {
        match words {
            Words::Few(only) => *only = None,
            Words::Many(all) => {
                let entry = all.find_entry(self.hasher.hash_one(word), |child| self.word_of(child) == word);
                entry.into_iter().for_each(|entry| drop(entry.remove()));
            }
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.words.is_empty() && self.star.is_none() && self.hash.is_none()
    }
}

fn is_wild(word: &[u8]) -> bool {
    matches!(word, b"*" | b"#")
}

/// Whether the rest of a pattern can be compared word by word: a `#` before its end would make that dear.
fn can_be_leaf(pattern: &[u8], at: usize) -> bool {
    words_from(pattern, at).all(|(word, next)| word != b"#" || next > pattern.len())
}

/// The words of a key; the empty key has none.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    words_from(key, 0).map(|(word, _)| word)
}

/// The words of a key from a word's beginning on, each with where the next one begins: beyond the end, if there is none.
fn words_from(key: &[u8], at: usize) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = if key.is_empty() { 1 } else { at };
    std::iter::from_fn(move || {
        let rest = key.get(at..)?;
        let end = rest.iter().position(|&byte| byte == b'.').unwrap_or(rest.len());
        at += end + 1;
        Some((&rest[..end], at))
    })
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

    #[test]
    fn a_branch_of_one_binding_has_no_nodes_until_there_is_another() {
        let mut trie = Trie::default();
        let (one, other) = (binding("device.1.command"), binding("device.1.state"));
        trie.insert(one.clone());
        assert_eq!(trie.nodes.len(), 1);
        assert!(matching(&trie, "device.1").is_empty() && matching(&trie, "device.1.command.x").is_empty());
        trie.insert(other.clone());
        assert_eq!(matching(&trie, "device.1.command"), ["device.1.command"]);
        assert_eq!(matching(&trie, "device.1.state"), ["device.1.state"]);
        trie.remove(&one);
        assert_eq!((matching(&trie, "device.1.state").len(), matching(&trie, "device.1.command").len()), (1, 0));
        trie.remove(&other);
        assert!(trie.nodes[0].is_empty() && trie.free.len() + 1 == trie.nodes.len());
    }

    #[test]
    fn a_leaf_that_is_come_to_twice_is_found_once() {
        let mut trie = Trie::default();
        ["#.a.#", "#.a.*.#", "a.#"].into_iter().for_each(|pattern| trie.insert(binding(pattern)));
        assert_eq!(matching(&trie, "a.a.a"), ["#.a.#", "#.a.*.#", "a.#"]);
    }

    proptest! {
        #[test]
        fn many_patterns_are_found_as_each_by_itself(
            patterns in prop::collection::vec(("([ab*#]|)(\\.([ab*#]|)){0,4}", any::<bool>()), 0..12),
            keys in prop::collection::vec("([ab]|)(\\.([ab]|)){0,4}", 1..6),
        ) {
            let mut trie = Trie::default();
            let all: Vec<_> = patterns.iter().map(|(pattern, stays)| (binding(pattern), *stays)).collect();
            all.iter().for_each(|(binding, _)| trie.insert(binding.clone()));
            all.iter().filter(|(_, stays)| !stays).for_each(|(binding, _)| trie.remove(binding));
            for key in &keys {
                let staying = patterns.iter().filter(|(_, stays)| *stays).map(|(pattern, _)| pattern.clone());
                let mut expected: Vec<_> =
                    staying.filter(|pattern| pattern_matches(pattern.as_bytes(), key.as_bytes())).collect();
                expected.sort();
                prop_assert_eq!(matching(&trie, key), expected);
            }
            all.iter().filter(|(_, stays)| *stays).for_each(|(binding, _)| trie.remove(binding));
            prop_assert!(trie.nodes[0].is_empty() && trie.free.len() + 1 == trie.nodes.len());
        }

        #[test]
        fn trie_and_single_pattern_agree(pattern in "[ab*#](\\.[ab*#]){0,4}", key in "[ab]?(\\.[ab]){0,4}") {
            let mut trie = Trie::default();
            trie.insert(binding(&pattern));
            prop_assert_eq!(!matching(&trie, &key).is_empty(), pattern_matches(pattern.as_bytes(), key.as_bytes()));
        }
    }
}
