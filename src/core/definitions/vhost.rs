//! One vhost: what is in it, and what of that knows of each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossdock_common::definition::{BindingSpec, Destination};
use crossdock_common::refusal::Resource;
use crossdock_common::{Name, Refusal};
use hashbrown::HashSet;

use super::binding::{Binding, Target};
use super::exchange::Exchange;
use super::sessions::Sessions;
use super::standing::{Aim, StandingBindings, standing};
use super::{QueueEntry, not_found};
use crate::broker::followers::Follower;
use crate::shard::Formats;

/// One vhost.
#[derive(Default)]
pub(crate) struct Vhost {
    pub exchanges: BTreeMap<Name, Exchange>,
    /// Boxed: the nodes of the tree are half empty, and an entry is large.
    pub queues: BTreeMap<Name, Box<QueueEntry>>,
    pub sessions: Sessions,
    pub followers: Vec<Follower>,
    pub standing: StandingBindings,
}

impl Vhost {
    /// # Errors
    /// [`Refusal::NotFound`].
    pub(crate) fn queue(&self, vhost: &Name, name: &Name) -> Result<&QueueEntry, Refusal> {
        self.queues.get(name).map(|queue| &**queue).ok_or_else(|| not_found(Resource::Queue, vhost, name))
    }

    pub(crate) fn queue_mut(&mut self, vhost: &Name, name: &Name) -> Result<&mut QueueEntry, Refusal> {
        self.queues.get_mut(name).map(|queue| &mut **queue).ok_or_else(|| not_found(Resource::Queue, vhost, name))
    }

    /// # Errors
    /// [`Refusal::NotFound`].
    pub(crate) fn exchange(&self, vhost: &Name, name: &Name) -> Result<&Exchange, Refusal> {
        self.exchanges.get(name).ok_or_else(|| not_found(Resource::Exchange, vhost, name))
    }

    pub(crate) fn exchange_mut(&mut self, vhost: &Name, name: &Name) -> Result<&mut Exchange, Refusal> {
        self.exchanges.get_mut(name).ok_or_else(|| not_found(Resource::Exchange, vhost, name))
    }

    /// Makes the binding, and says whether it survives a restart.
    pub(super) fn bind(
        &mut self,
        vhost: &Name,
        spec: BindingSpec,
        serial: u64,
        formats: &Formats,
    ) -> Result<(Arc<BindingSpec>, bool), Refusal> {
        let (target, target_durable) = match (&spec.destination, standing(formats, &spec)) {
            (Destination::Queue(_), Some(standing)) => (Target::Standing(Aim::new(standing)), true),
            (Destination::Queue(name), None) => {
                let queue = self.queue(vhost, name)?;
                (Target::Queue(queue.id), queue.spec.durable)
            }
            (Destination::Exchange(name), _) => {
                (Target::Exchange(name.clone()), self.exchange(vhost, name)?.spec.durable)
            }
        };
        let exchange = self.exchange_mut(vhost, &spec.source)?;
        exchange.check_binding(&spec)?;
        // Binding again keeps the number: messages on disk name it.
        let serial = exchange.find(&spec).map_or(serial, |kept| kept.serial);
        let binding = Arc::new(Binding::new(spec, target, serial, formats));
        let durable = exchange.spec.durable && target_durable;
        if let Some(replaced) = exchange.insert(binding.clone()) {
            self.forget_target(&replaced);
        }
        self.remember_target(&binding);
        self.standing.insert(&binding);
        self.aim_one(&binding, formats);
        Ok((binding.spec.clone(), durable))
    }

    /// The standing bindings to a queue that comes.
    pub(super) fn bindings_that_wait_for(&self, queue: &Name) -> Vec<Arc<Binding>> {
        let leads_there =
            |binding: &&Arc<Binding>| matches!(&binding.spec.destination, Destination::Queue(name) if name == queue);
        self.standing.of_queue(queue).iter().filter(leads_there).cloned().collect()
    }

    fn remember_target(&mut self, binding: &Arc<Binding>) {
        match &binding.spec.destination {
            Destination::Queue(name) => {
                if let Some(queue) = self.queues.get_mut(name) {
                    if queue.bindings.is_empty() {
                        queue.bindings.reserve_exact(1);
                    }
                    queue.bindings.push(binding.clone());
                }
            }
            Destination::Exchange(name) => {
                if let Some(exchange) = self.exchanges.get_mut(name) {
                    *exchange.sources.entry(binding.spec.source.clone()).or_default() += 1;
                }
            }
        }
    }

    /// An exchange goes with all its bindings. Each target is looked at once: a queue may have a hundred thousand of them.
    pub(super) fn forget_source(&mut self, source: &Name, bindings: &[Arc<Binding>]) {
        bindings.iter().for_each(|binding| self.standing.remove(binding));
        let targets: HashSet<&Destination> = bindings.iter().map(|binding| &binding.spec.destination).collect();
        for target in targets {
            match target {
                Destination::Queue(name) => {
                    if let Some(queue) = self.queues.get_mut(name) {
                        queue.bindings.retain(|binding| binding.spec.source != *source);
                    }
                }
                Destination::Exchange(name) => {
                    if let Some(exchange) = self.exchanges.get_mut(name) {
                        exchange.sources.remove(source);
                    }
                }
            }
        }
    }

    pub(super) fn forget_target(&mut self, binding: &Arc<Binding>) {
        self.standing.remove(binding);
        match &binding.spec.destination {
            Destination::Queue(name) => {
                if let Some(queue) = self.queues.get_mut(name) {
                    queue.bindings.retain(|kept| !Arc::ptr_eq(kept, binding));
                }
            }
            Destination::Exchange(name) => {
                let Some(exchange) = self.exchanges.get_mut(name) else { return };
                let source = &binding.spec.source;
                if let Some(count) = exchange.sources.get_mut(source) {
                    *count -= 1;
                    if *count == 0 {
                        exchange.sources.remove(source);
                    }
                }
            }
        }
    }
}
