//! Bindings that outlive their queue: where their messages go is found anew whenever a queue that concerns them comes, changes or goes.
//!
//! Publishers pay nothing for it: a standing binding has one target at any time, as others have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossdock_common::Name;
use crossdock_common::definition::{BindingSpec, Destination, Standing};
use crossdock_common::names::QueueId;
use hashbrown::HashMap;

use super::Vhost;
use super::binding::{Binding, Target};
use crate::shard::Formats;

/// No queue has this number.
const NOWHERE: u64 = 0;

/// Where a standing binding leads now.
#[derive(Debug)]
pub(crate) struct Aim {
    otherwise: Option<Name>,
    queue: AtomicU64,
}

impl Aim {
    pub(super) fn new(standing: Standing) -> Self {
        Self { otherwise: standing.otherwise, queue: AtomicU64::new(NOWHERE) }
    }

    /// The queue, if there is one.
    pub(crate) fn queue(&self) -> Option<QueueId> {
        Some(QueueId(self.queue.load(Ordering::Relaxed))).filter(|queue| queue.0 != NOWHERE)
    }

    /// Says whether that is another queue than before.
    fn set(&self, queue: Option<QueueId>) -> bool {
        let queue = queue.map_or(NOWHERE, |queue| queue.0);
        self.queue.swap(queue, Ordering::Relaxed) != queue
    }
}

/// A standing binding whose messages do not go to its queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Astray {
    /// The binding.
    pub binding: Arc<BindingSpec>,
    /// Where they go instead, if anywhere.
    pub to: Option<Name>,
}

/// The standing bindings of a vhost.
#[derive(Default)]
pub(crate) struct StandingBindings {
    /// By the queues that concern them.
    by_queue: HashMap<Name, Vec<Arc<Binding>>>,
    /// By their numbers: messages name them wherever they have gone since.
    by_serial: HashMap<u64, Arc<Binding>>,
    /// By their numbers, those whose messages do not go to their queue.
    astray: BTreeMap<u64, Arc<Binding>>,
    /// Messages that went nowhere.
    pub lost: AtomicU64,
}

impl StandingBindings {
    /// Those that the queue concerns.
    pub(super) fn of_queue(&self, name: &Name) -> &[Arc<Binding>] {
        self.by_queue.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The one of that number, if it is announced.
    pub(crate) fn spec(&self, serial: u64) -> Option<&Arc<BindingSpec>> {
        self.by_serial.get(&serial).map(|binding| &binding.spec).filter(|spec| spec.announced)
    }

    pub(super) fn insert(&mut self, binding: &Arc<Binding>) {
        if binding.aim().is_some() {
            self.by_serial.insert(binding.serial, binding.clone());
        }
        for name in binding.concerns() {
            self.by_queue.entry(name.clone()).or_default().push(binding.clone());
        }
    }

    pub(super) fn remove(&mut self, binding: &Arc<Binding>) {
        for name in binding.concerns() {
            if let Some(kept) = self.by_queue.get_mut(name) {
                kept.retain(|kept| !Arc::ptr_eq(kept, binding));
                if kept.is_empty() {
                    self.by_queue.remove(name);
                }
            }
        }
        // Who binds again has the same number.
        if self.by_serial.get(&binding.serial).is_some_and(|kept| Arc::ptr_eq(kept, binding)) {
            self.by_serial.remove(&binding.serial);
        }
        if self.astray.get(&binding.serial).is_some_and(|kept| Arc::ptr_eq(kept, binding)) {
            self.astray.remove(&binding.serial);
        }
    }

    fn note(&mut self, binding: &Arc<Binding>, is_astray: bool) {
        if is_astray {
            self.astray.insert(binding.serial, binding.clone());
        } else {
            self.astray.remove(&binding.serial);
        }
    }
}

/// The rule of the protocol that the binding is of.
pub(crate) fn standing(formats: &Formats, spec: &BindingSpec) -> Option<Standing> {
    formats.iter().find_map(|format| format.standing(spec))
}

impl Binding {
    /// Where it leads now, if it is a standing one.
    pub(crate) fn aim(&self) -> Option<&Aim> {
        match &self.target {
            Target::Standing(aim) => Some(aim),
            Target::Queue(_) | Target::Exchange(_) => None,
        }
    }

    /// The queues that decide where a standing binding's messages go, the first choice first.
    fn concerns(&self) -> impl Iterator<Item = &Name> {
        let own = match &self.spec.destination {
            Destination::Queue(name) => Some(name),
            Destination::Exchange(_) => None,
        };
        let names = self.aim().map(|aim| [own, aim.otherwise.as_ref().filter(|other| own != Some(*other))]);
        names.into_iter().flatten().flatten()
    }
}

impl Vhost {
    /// Looks where the messages of standing bindings go that a queue concerns. Says whether any go elsewhere now.
    pub(super) fn aim(&mut self, queue: &Name, formats: &Formats) -> bool {
        let concerned = self.standing.of_queue(queue).to_vec();
        concerned.iter().fold(false, |changed, binding| self.aim_one(binding, formats) | changed)
    }

    /// The same for one of them.
    pub(super) fn aim_one(&mut self, binding: &Arc<Binding>, formats: &Formats) -> bool {
        let Some(aim) = binding.aim() else { return false };
        let admits = |name: &&Name| {
            let queue = self.queues.get(*name);
            queue.is_some_and(|queue| formats.iter().all(|format| format.admits(&binding.spec, &queue.spec)))
        };
        let found = binding.concerns().find(admits);
        let is_astray = found != binding.concerns().next();
        let changed = aim.set(found.and_then(|name| self.queues.get(name)).map(|queue| queue.id));
        self.standing.note(binding, is_astray);
        changed
    }

    /// The standing bindings whose messages do not go to their queue.
    pub(crate) fn astray(&self) -> Vec<Astray> {
        let name_of = |id| {
            move |binding: &Arc<Binding>| {
                binding.concerns().find(|name| self.queues.get(*name).is_some_and(|queue| queue.id == id)).cloned()
            }
        };
        let show = |binding: &Arc<Binding>| {
            let to = binding.aim().and_then(Aim::queue).and_then(|id| name_of(id)(binding));
            Astray { binding: binding.spec.clone(), to }
        };
        self.standing.astray.values().map(show).collect()
    }
}
