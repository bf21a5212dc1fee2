//! One vhost: what is in it, and what of that knows of each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossdock_common::definition::{BindingSpec, Destination};
use crossdock_common::refusal::Resource;
use crossdock_common::{Name, Refusal};
use hashbrown::HashSet;

use super::binding::{Binding, BindingIdentity, Target, identity};
use super::exchange::Exchange;
use super::sessions::Sessions;
use super::{QueueEntry, not_found};
use crate::shard::Formats;

/// One vhost.
#[derive(Default)]
pub(crate) struct Vhost {
    pub exchanges: BTreeMap<Name, Exchange>,
    /// Boxed: the nodes of the tree are half empty, and an entry is large.
    pub queues: BTreeMap<Name, Box<QueueEntry>>,
    pub sessions: Sessions,
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

    /// Makes the binding; true when it survives a restart.
    pub(super) fn bind(
        &mut self,
        vhost: &Name,
        spec: BindingSpec,
        serial: u64,
        formats: &Formats,
    ) -> Result<bool, Refusal> {
        let (target, target_durable) = match &spec.destination {
            Destination::Queue(name) => {
                let queue = self.queue(vhost, name)?;
                (Target::Queue(queue.id), queue.spec.durable)
            }
            Destination::Exchange(name) => (Target::Exchange(name.clone()), self.exchange(vhost, name)?.spec.durable),
        };
        let (identity, source) = (identity(&spec), spec.source.clone());
        let exchange = self.exchange_mut(vhost, &source)?;
        exchange.check_binding(&spec)?;
        // Binding again keeps the number: messages on disk name it.
        let serial = exchange.find(&identity).map_or(serial, |kept| kept.serial);
        let binding = Arc::new(Binding::new(spec, target, serial, formats));
        let durable = exchange.spec.durable && target_durable;
        if exchange.insert(identity.clone(), binding.clone()).is_none() {
            self.remember_target(source, identity, &binding);
        }
        Ok(durable)
    }

    fn remember_target(&mut self, source: Name, identity: BindingIdentity, binding: &Binding) {
        match &binding.spec.destination {
            Destination::Queue(name) => {
                if let Some(queue) = self.queues.get_mut(name) {
                    if queue.bindings.is_empty() {
                        queue.bindings.reserve_exact(1);
                    }
                    queue.bindings.push((source, identity));
                }
            }
            Destination::Exchange(name) => {
                if let Some(exchange) = self.exchanges.get_mut(name) {
                    *exchange.sources.entry(source).or_default() += 1;
                }
            }
        }
    }

    /// An exchange goes with all its bindings. Each target is looked at once: a queue may have a hundred thousand of them.
    pub(super) fn forget_source(&mut self, source: &Name, bindings: &[Arc<Binding>]) {
        let targets: HashSet<&Destination> = bindings.iter().map(|binding| &binding.spec.destination).collect();
        for target in targets {
            match target {
                Destination::Queue(name) => {
                    if let Some(queue) = self.queues.get_mut(name) {
                        queue.bindings.retain(|(exchange, _)| exchange != source);
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

    pub(super) fn forget_target(&mut self, source: &Name, binding: &Binding) {
        match &binding.spec.destination {
            Destination::Queue(name) => {
                let identity = identity(&binding.spec);
                if let Some(queue) = self.queues.get_mut(name) {
                    queue.bindings.retain(|(exchange, kept)| exchange != source || *kept != identity);
                }
            }
            Destination::Exchange(name) => {
                let Some(exchange) = self.exchanges.get_mut(name) else { return };
                if let Some(count) = exchange.sources.get_mut(source) {
                    *count -= 1;
                    if *count == 0 {
                        exchange.sources.remove(source);
                    }
                }
            }
        }
    }

    /// The bindings that lead to a queue, in the order in which they were made.
    pub(crate) fn bindings_of_queue(&self, queue: &QueueEntry) -> Vec<Arc<Binding>> {
        let find = |(source, identity): &(Name, BindingIdentity)| self.exchanges.get(source)?.find(identity).cloned();
        let mut bindings: Vec<_> = queue.bindings.iter().filter_map(find).collect();
        bindings.sort_unstable_by_key(|binding| binding.serial);
        bindings
    }
}
