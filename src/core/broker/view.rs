//! What there is, as an operator sees it. Who may see what is decided by who asks: [`Broker::may_enter`] says which vhosts are
//! a user's. Nothing here changes anything, and no lock is held for longer than one object takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossdock_common::definition::{BindingSpec, Destination, ExchangeSpec, Inner, QueueSpec};
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Name, Now, Table, UnixMillis};

use super::Broker;
use crate::definitions::binding::Binding;
use crate::definitions::exchange::Exchange;
use crate::definitions::standing::Astray;
use crate::definitions::traffic::ExchangeSample;
use crate::definitions::{Vhost, shard_of};
use crate::permissions::Who;
use crate::policies::{Applied, Policy, QueueKind};
use crate::shard::view::{QueueFigures, QueueSample};

/// A queue.
#[derive(Clone, Debug)]
pub struct QueueView {
    pub id: QueueId,
    pub vhost: Name,
    /// As declared, with what was changed since.
    pub spec: QueueSpec,
    /// The connection it is exclusive to.
    pub owner: Option<ConnectionId>,
    pub created_at: UnixMillis,
    pub applied: AppliedNames,
    pub figures: QueueFigures,
}

/// The names of the two policies that apply to something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedNames {
    pub policy: Option<Name>,
    pub operator_policy: Option<Name>,
}

impl From<Applied<'_>> for AppliedNames {
    fn from(applied: Applied<'_>) -> Self {
        let name = |policy: Option<&Policy>| policy.map(|policy| policy.name.clone());
        Self { policy: name(applied.policy), operator_policy: name(applied.operator_policy) }
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    pub exchanges: usize,
    pub queues: usize,
}

impl Broker {
    /// Whether the user may use the vhost at all.
    pub fn may_enter(&self, user: &Name, vhost: &Name) -> bool {
        self.permissions().may_enter(user, vhost)
    }

    /// Whether the permissions let the user do that.
    pub fn may(&self, user: &Name, vhost: &Name, access: Access, resource: Resource, name: &Name) -> bool {
        let who = Who { user: user.clone(), vhost: vhost.clone(), ..Who::default() };
        self.permissions().check(&who, access, resource, name).is_ok()
    }

    /// What protocols keep with a queue, whoever asks.
    pub fn queue_attributes(&self, vhost: &Name, queue: &Name) -> Option<Table> {
        self.in_vhost(vhost, |entry| entry.queues.get(queue).map(|queue| queue.spec.attributes.clone())).flatten()
    }

    /// What protocols keep with an exchange, whoever asks.
    pub fn exchange_attributes(&self, vhost: &Name, exchange: &Name) -> Option<Table> {
        self.in_vhost(vhost, |entry| Some(entry.exchanges.get(exchange)?.spec.attributes.clone())).flatten()
    }

    /// Channels that are open.
    pub fn channel_count(&self) -> u64 {
        self.connections.lock().lanes()
    }

    /// Whether there is such a vhost.
    pub fn has_vhost(&self, vhost: &Name) -> bool {
        self.definitions.read().vhosts.contains_key(vhost)
    }

    /// A vhost's queues, by name; `None` if there is no such vhost. Addresses for replies are not among them: whoever knows one may
    /// answer in another's place.
    pub fn queue_names(&self, vhost: &Name) -> Option<Vec<Name>> {
        self.in_vhost(vhost, |entry| {
            let listed = entry.queues.values().filter(|queue| queue.spec.settings.inner != Some(Inner::Replies));
            listed.map(|queue| queue.spec.name.clone()).collect()
        })
    }

    /// A vhost's exchanges, by name; `None` if there is no such vhost.
    pub fn exchange_names(&self, vhost: &Name) -> Option<Vec<Name>> {
        self.in_vhost(vhost, |entry| entry.exchanges.keys().cloned().collect())
    }

    /// How much there is in a vhost.
    pub fn object_counts(&self, vhost: &Name) -> ObjectCounts {
        let count = |entry: &Vhost| ObjectCounts { exchanges: entry.exchanges.len(), queues: entry.queues.len() };
        self.in_vhost(vhost, count).unwrap_or_default()
    }

    /// A queue, if it exists.
    pub fn queue_view(&self, now: Now, vhost: &Name, name: &Name) -> Option<QueueView> {
        let definitions = self.definitions.read();
        let queue = definitions.vhosts.get(vhost)?.queues.get(name)?;
        let applied = definitions.policies.of_queue(vhost, name, QueueKind::of(&queue.spec)).into();
        let mut view = QueueView {
            id: queue.id,
            vhost: vhost.clone(),
            spec: queue.spec.clone(),
            owner: queue.owner,
            created_at: queue.created_at,
            applied,
            figures: QueueFigures::default(),
        };
        drop(definitions);
        let shard = self.shards.get(shard_of(view.id))?;
        view.figures = shard.lock().figures(now, view.id).unwrap_or_default();
        Some(view)
    }

    /// Whether there is such a queue.
    pub fn has_queue(&self, vhost: &Name, name: &Name) -> bool {
        self.in_vhost(vhost, |entry| entry.queues.contains_key(name)).unwrap_or(false)
    }

    /// The numbers of a vhost's queues.
    pub fn queue_ids(&self, vhost: &Name) -> Vec<QueueId> {
        self.in_vhost(vhost, |entry| entry.queues.values().map(|queue| queue.id).collect()).unwrap_or_default()
    }

    /// What happened in these queues, together.
    pub fn sample_of(&self, ids: &[QueueId]) -> QueueSample {
        let mut total = QueueSample::default();
        for (index, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            ids.iter().filter(|id| shard_of(**id) == index).for_each(|id| shard.add_sample(*id, &mut total));
        }
        total
    }

    /// An exchange as declared and what applies to it, if it exists.
    pub fn exchange_view(&self, vhost: &Name, name: &Name) -> Option<(ExchangeSpec, AppliedNames)> {
        let definitions = self.definitions.read();
        let exchange = definitions.vhosts.get(vhost)?.exchanges.get(name)?;
        Some((exchange.spec.clone(), definitions.policies.of_exchange(vhost, name).into()))
    }

    /// What went through an exchange, if it exists.
    pub fn exchange_sample(&self, vhost: &Name, name: &Name) -> Option<ExchangeSample> {
        self.in_vhost(vhost, |entry| Some(entry.exchanges.get(name)?.traffic.sample())).flatten()
    }

    /// What went through all exchanges that something went through, by vhost and name.
    pub fn exchange_samples(&self) -> Vec<((Name, Name), ExchangeSample)> {
        let definitions = self.definitions.read();
        let all = definitions.vhosts.iter().flat_map(|(vhost, entry)| {
            entry
                .exchanges
                .iter()
                .map(move |(name, exchange)| ((vhost.clone(), name.clone()), exchange.traffic.sample()))
        });
        all.filter(|(_, sample)| *sample != ExchangeSample::default()).collect()
    }

    /// Whether there is such an exchange.
    pub fn has_exchange(&self, vhost: &Name, name: &Name) -> bool {
        self.in_vhost(vhost, |entry| entry.exchanges.contains_key(name)).unwrap_or(false)
    }

    /// The bindings from an exchange, in the order in which they were made; empty if it does not exist.
    pub fn bindings_from(&self, vhost: &Name, source: &Name) -> Vec<Arc<BindingSpec>> {
        let find = |entry: &Vhost| entry.exchanges.get(source).map(|exchange| specs(&exchange.bindings()));
        self.in_vhost(vhost, find).flatten().unwrap_or_default()
    }

    /// The bindings from all exchanges of a vhost.
    pub fn bindings(&self, vhost: &Name) -> Vec<Arc<BindingSpec>> {
        let all = |entry: &Vhost| entry.exchanges.values().flat_map(|exchange| specs(&exchange.bindings())).collect();
        self.in_vhost(vhost, all).unwrap_or_default()
    }

    /// The standing bindings of a vhost whose messages do not go to their queue.
    pub fn astray(&self, vhost: &Name) -> Vec<Astray> {
        self.in_vhost(vhost, Vhost::astray).unwrap_or_default()
    }

    /// Messages that standing bindings had no queue for since this was asked last.
    pub fn take_lost_by_standing_bindings(&self) -> u64 {
        let definitions = self.definitions.read();
        definitions.vhosts.values().map(|vhost| vhost.standing.lost.swap(0, Ordering::Relaxed)).sum()
    }

    /// The bindings to a queue or an exchange, without those of the default exchange.
    pub fn bindings_to(&self, vhost: &Name, destination: &Destination) -> Vec<Arc<BindingSpec>> {
        self.in_vhost(vhost, |entry| match destination {
            Destination::Queue(name) => {
                entry.queues.get(name).map(|queue| specs(&queue.bindings())).unwrap_or_default()
            }
            Destination::Exchange(name) => {
                let sources = entry.exchanges.get(name).into_iter().flat_map(|exchange| exchange.sources.keys());
                let bindings = sources.filter_map(|source| entry.exchanges.get(source)).flat_map(Exchange::bindings);
                let here = bindings.filter(|binding| binding.spec.destination == *destination);
                here.map(|binding| binding.spec.clone()).collect()
            }
        })
        .unwrap_or_default()
    }

    /// What happened in each queue since the start of the broker; queues in which nothing did are left out.
    pub fn queue_samples(&self) -> Vec<(QueueId, QueueSample)> {
        let mut samples = Vec::new();
        self.shards.iter().for_each(|shard| shard.lock().samples(&mut samples));
        samples
    }

    /// What happened in all queues since the start of the broker.
    pub fn total_sample(&self) -> QueueSample {
        let mut total = QueueSample::default();
        self.shards.iter().for_each(|shard| shard.lock().add_samples(&mut total));
        total
    }

    fn in_vhost<T>(&self, vhost: &Name, look: impl FnOnce(&Vhost) -> T) -> Option<T> {
        self.definitions.read().vhosts.get(vhost).map(look)
    }
}

fn specs(bindings: &[Arc<Binding>]) -> Vec<Arc<BindingSpec>> {
    bindings.iter().map(|binding| binding.spec.clone()).collect()
}
