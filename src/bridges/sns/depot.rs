//! Which couriers there are: one for each hidden queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossdock_aws::outward::{Addressee, DIRECT_QUEUE, HIDDEN_PREFIX, PENDING_MS_MAX};
use crossdock_common::Name;
use crossdock_common::definition::{BindingSpec, Definition, Destination};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::courier::Courier;
use super::link::{Actor, Link};
use super::office::Office;
use super::sink::{OUTBOX, Sinks};
use super::web::Web;
use crate::broker::Engine;

const VHOST: &str = "/";
/// Queues are looked through when the API has changed something, and so often, as other protocols may have.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Rest between two looks: many subscriptions may be made one after the other.
const REST: Duration = Duration::from_millis(20);
/// A hidden queue without a subscription goes after that: one that is being made has none yet.
const ORPHAN_TIME_MAX: Duration = Duration::from_secs(60);

/// What all couriers share.
pub(super) struct Depot {
    pub engine: Arc<Engine>,
    pub office: Arc<Office>,
    pub web: Web,
    pub sinks: Sinks,
    /// Messages that may be on their way at the same time.
    pub permits: Semaphore,
    pub account: String,
    pub region: String,
}

impl Depot {
    fn binding(&self, queue: &Name) -> Option<Arc<BindingSpec>> {
        let bindings = self.engine.broker.bindings_to(&Name::from(VHOST), &Destination::Queue(queue.clone()));
        bindings.into_iter().find(|binding| self.read(binding).is_some())
    }

    fn read(&self, binding: &BindingSpec) -> Option<Addressee> {
        let topic = self.engine.broker.exchange_view(&Name::from(VHOST), &binding.source).map(|(spec, _)| spec);
        Addressee::of(binding, topic.as_ref(), &self.account, &self.region)
    }

    /// As the subscription is now.
    pub(super) fn addressee(&self, queue: &Name) -> Option<Addressee> {
        let bindings = self.engine.broker.bindings_to(&Name::from(VHOST), &Destination::Queue(queue.clone()));
        bindings.iter().find_map(|binding| self.read(binding))
    }
}

type Ended = Result<(), String>;

/// Keeps the couriers.
pub(super) struct Keeper {
    depot: Arc<Depot>,
    couriers: BTreeMap<Name, JoinHandle<Ended>>,
    orphans: BTreeMap<Name, Instant>,
    /// Queues that their subscriber may not read: told once.
    refused: BTreeSet<Name>,
}

impl Keeper {
    pub(super) fn new(depot: Arc<Depot>) -> Self {
        Self { depot, couriers: BTreeMap::new(), orphans: BTreeMap::new(), refused: BTreeSet::new() }
    }

    pub(super) async fn keep(mut self) {
        while !self.depot.engine.broker.is_draining() {
            self.look().await;
            sleep(REST).await;
            let _ = timeout(LOOK_EVERY, self.depot.office.bell.heard()).await;
        }
    }

    async fn look(&mut self) {
        self.forget_ended().await;
        let names = self.depot.engine.broker.queue_names(&Name::from(VHOST)).unwrap_or_default();
        let hidden: Vec<Name> = names.into_iter().filter(is_hidden).collect();
        self.orphans.retain(|name, _| hidden.contains(name));
        self.refused.retain(|name| hidden.contains(name));
        for queue in hidden {
            self.look_at(queue).await;
        }
    }

    async fn look_at(&mut self, queue: Name) {
        if queue.as_str() == DIRECT_QUEUE {
            return self.employ(queue, Actor::Broker);
        }
        match self.depot.binding(&queue) {
            Some(binding) => {
                self.orphans.remove(&queue);
                let Some(addressee) = self.depot.read(&binding) else { return };
                if self.is_too_old(&addressee) {
                    self.remove(&queue, Some((*binding).clone())).await;
                } else {
                    self.employ(queue, Actor::User(addressee.subscriber));
                }
            }
            None => {
                let since = *self.orphans.entry(queue.clone()).or_insert_with(Instant::now);
                if since.elapsed() > ORPHAN_TIME_MAX {
                    self.remove(&queue, None).await;
                }
            }
        }
    }

    /// Nobody has confirmed it in time.
    fn is_too_old(&self, addressee: &Addressee) -> bool {
        let now = self.depot.engine.clock.now().unix;
        addressee.pending_since.is_some_and(|since| now.0 >= since.0.saturating_add(PENDING_MS_MAX))
    }

    async fn remove(&mut self, queue: &Name, binding: Option<BindingSpec>) {
        let mut link = Link::open(&self.depot.engine, Actor::Broker);
        if let Some(binding) = binding {
            let _ = link.define(Definition::Unbind(binding)).await;
        }
        let deletion = Definition::DeleteQueue { name: queue.clone(), if_unused: false, if_empty: false };
        match link.define(deletion).await {
            Ok(_) => tracing::info!(queue = %queue, "a queue of a subscription that is not there was removed"),
            Err(refusal) => tracing::warn!(queue = %queue, reason = %refusal, "a queue cannot be removed"),
        }
    }

    fn employ(&mut self, queue: Name, actor: Actor) {
        if !self.couriers.contains_key(&queue) {
            let courier = tokio::spawn(Courier::run(self.depot.clone(), queue.clone(), actor));
            self.couriers.insert(queue, courier);
        }
    }

    async fn forget_ended(&mut self) {
        let ended: Vec<Name> =
            self.couriers.iter().filter(|(_, courier)| courier.is_finished()).map(|(name, _)| name.clone()).collect();
        for queue in ended {
            let Some(courier) = self.couriers.remove(&queue) else { continue };
            let reason = match courier.await {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(error) => format!("a defect: {error}"),
            };
            if self.refused.insert(queue.clone()) {
                tracing::warn!(queue = %queue, reason = ?reason, "messages of a subscription do not go out");
            }
        }
    }
}

/// One of a subscription, or the direct one.
fn is_hidden(name: &Name) -> bool {
    name.starts_with(HIDDEN_PREFIX) && name.as_str() != OUTBOX
}
