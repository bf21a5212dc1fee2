//! The bindings of one exchange, found by what makes two of them the same.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::BytesMut;
use crossdock_common::definition::BindingSpec;
use hashbrown::HashTable;

use super::binding::Binding;
use crate::record::encode_table;

/// Bindings by destination, key and arguments.
#[derive(Default)]
pub(super) struct Bindings {
    all: HashTable<Arc<Binding>>,
    hasher: foldhash::fast::RandomState,
}

impl Bindings {
    /// Adds a binding in place of the same one, which is given back.
    pub(super) fn insert(&mut self, binding: Arc<Binding>) -> Option<Arc<Binding>> {
        let replaced = self.remove(&binding.spec);
        let hash_of = |binding: &Arc<Binding>| hash_of(&self.hasher, &binding.spec);
        self.all.insert_unique(hash_of(&binding), binding, hash_of);
        replaced
    }

    pub(super) fn find(&self, spec: &BindingSpec) -> Option<&Arc<Binding>> {
        self.all.find(hash_of(&self.hasher, spec), |binding| is_same(&binding.spec, spec))
    }

    pub(super) fn remove(&mut self, spec: &BindingSpec) -> Option<Arc<Binding>> {
        let entry = self.all.find_entry(hash_of(&self.hasher, spec), |binding| is_same(&binding.spec, spec));
        entry.ok().map(|entry| entry.remove().0)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.all.iter()
    }
}

fn hash_of(hasher: &foldhash::fast::RandomState, spec: &BindingSpec) -> u64 {
    let mut hasher = hasher.build_hasher();
    (&spec.destination, &spec.key).hash(&mut hasher);
    hasher.write(&arguments(spec));
    hasher.finish()
}

fn is_same(one: &BindingSpec, other: &BindingSpec) -> bool {
    one.destination == other.destination && one.key == other.key && arguments(one) == arguments(other)
}

/// Compared as they are written: a number that is not one is the same as itself here.
fn arguments(spec: &BindingSpec) -> BytesMut {
    let mut bytes = BytesMut::new();
    if !spec.arguments.is_empty() {
        encode_table(&spec.arguments, &mut bytes);
    }
    bytes
}
