//! Which couriers there are: one for each hidden queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossdock_aws::outward::{Addressee, DIRECT_QUEUE, PENDING_MS_MAX, ReplayTask, is_outgoing, topic_of_archive};
use crossdock_aws::{Namespace, Namespaces};
use crossdock_common::Name;
use crossdock_common::definition::{BindingSpec, Definition, Destination};
use crossdock_common::refusal::{Access, Resource};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::astray::Astrays;
use super::courier::Courier;
use super::link::{Actor, Link};
use super::office::Office;
use super::replayer::Replayer;
use super::sink::Sinks;
use super::web::Web;
use crate::broker::Engine;

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
    pub namespaces: Namespaces,
}

/// A hidden queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hidden {
    pub vhost: Name,
    pub name: Name,
}

impl Depot {
    fn binding(&self, queue: &Hidden) -> Option<Arc<BindingSpec>> {
        let bindings = self.bindings(queue);
        bindings.into_iter().find(|binding| self.read(&queue.vhost, binding).is_some())
    }

    fn bindings(&self, queue: &Hidden) -> Vec<Arc<BindingSpec>> {
        self.engine.broker.bindings_to(&queue.vhost, &Destination::Queue(queue.name.clone()))
    }

    fn read(&self, vhost: &Name, binding: &BindingSpec) -> Option<Addressee> {
        let topic = self.engine.broker.exchange_view(vhost, &binding.source).map(|(spec, _)| spec);
        Addressee::of(binding, topic.as_ref(), &self.namespaces.of_vhost(vhost)?)
    }

    /// As the subscription is now.
    pub(super) fn addressee(&self, queue: &Hidden) -> Option<Addressee> {
        self.bindings(queue).iter().find_map(|binding| self.read(&queue.vhost, binding))
    }

    /// Asks the permissions of the account that has subscribed, if that is not the topic's.
    ///
    /// # Errors
    /// The subscriber may not have messages sent.
    pub(super) fn check_home(&self, addressee: &Addressee) -> Result<(), String> {
        let Some(needed) = &addressee.needed else { return Ok(()) };
        let namespace = self.namespaces.of(Some(&needed.account), Some(&needed.region));
        let is_permitted = namespace.is_some_and(|Namespace { vhost, .. }| {
            let may = |access: &Access| {
                self.engine.administration.may(&addressee.subscriber, &vhost, *access, Resource::Queue, &needed.queue)
            };
            needed.accesses.iter().all(may)
        });
        let refusal = || format!("{} may not have them sent in account {}", addressee.subscriber, needed.account);
        if is_permitted { Ok(()) } else { Err(refusal()) }
    }

    /// The hidden queues of all namespaces.
    fn queues(&self) -> Vec<Hidden> {
        let vhosts = self.engine.broker.vhost_names().into_iter();
        let of_aws = vhosts.filter(|vhost| self.namespaces.of_vhost(vhost).is_some());
        let queues = of_aws.flat_map(|vhost| {
            let names = self.engine.broker.queue_names(&vhost).unwrap_or_default().into_iter();
            let hidden = names.filter(|name| is_outgoing(name) || topic_of_archive(name).is_some());
            hidden.map(move |name| Hidden { vhost: vhost.clone(), name })
        });
        queues.collect()
    }
}

type Ended = Result<(), String>;

/// Keeps the couriers.
pub(super) struct Keeper {
    depot: Arc<Depot>,
    couriers: BTreeMap<Hidden, JoinHandle<Ended>>,
    /// By the ids of the replays.
    replayers: BTreeMap<String, JoinHandle<()>>,
    orphans: BTreeMap<Hidden, Instant>,
    /// Queues that their subscriber may not read: told once.
    refused: BTreeSet<Hidden>,
    astray: Astrays,
}

impl Keeper {
    pub(super) fn new(depot: Arc<Depot>) -> Self {
        let (couriers, replayers) = (BTreeMap::new(), BTreeMap::new());
        Self {
            depot,
            couriers,
            replayers,
            orphans: BTreeMap::new(),
            refused: BTreeSet::new(),
            astray: Astrays::default(),
        }
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
        self.astray.look(&self.depot);
        let queues = self.depot.queues();
        self.look_for_replays(&queues);
        let hidden: BTreeSet<Hidden> = queues.into_iter().filter(|queue| is_outgoing(&queue.name)).collect();
        self.orphans.retain(|name, _| hidden.contains(name));
        self.refused.retain(|name| hidden.contains(name));
        for queue in hidden {
            self.look_at(queue).await;
        }
    }

    fn look_for_replays(&mut self, queues: &[Hidden]) {
        self.replayers.retain(|_, replayer| !replayer.is_finished());
        for Hidden { vhost, name } in queues {
            let Some(topic) = topic_of_archive(name) else { continue };
            let bindings = self.depot.engine.broker.bindings_from(vhost, &topic);
            for task in bindings.iter().filter_map(|binding| ReplayTask::of(binding)) {
                let depot = &self.depot;
                let replayer = || tokio::spawn(Replayer::run(depot.clone(), vhost.clone(), task.clone()));
                self.replayers.entry(task.id().to_owned()).or_insert_with(replayer);
            }
        }
    }

    async fn look_at(&mut self, queue: Hidden) {
        if queue.name.as_str() == DIRECT_QUEUE {
            return self.employ(queue, Actor::Broker);
        }
        match self.depot.binding(&queue) {
            Some(binding) => {
                self.orphans.remove(&queue);
                let Some(addressee) = self.depot.read(&queue.vhost, &binding) else { return };
                if self.is_too_old(&addressee) {
                    self.remove(&queue, Some((*binding).clone())).await;
                } else {
                    self.send(queue, &addressee);
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

    /// A subscriber of another account may do nothing where the topic is, so the broker reads for him; while he may not in his own, nothing
    /// goes out.
    fn send(&mut self, queue: Hidden, addressee: &Addressee) {
        let actor = match addressee.needed {
            None => Actor::User(addressee.subscriber.clone()),
            Some(_) => Actor::Broker,
        };
        match self.depot.check_home(addressee) {
            Ok(()) => self.employ(queue, actor),
            Err(reason) => self.refuse(&queue, &reason),
        }
    }

    fn refuse(&mut self, queue: &Hidden, reason: &str) {
        if self.refused.insert(queue.clone()) {
            tracing::warn!(queue = %queue.name, vhost = %queue.vhost, reason = ?reason, "messages of a subscription do not go out");
        }
    }

    /// Nobody has confirmed it in time.
    fn is_too_old(&self, addressee: &Addressee) -> bool {
        let now = self.depot.engine.clock.now().unix;
        addressee.pending_since.is_some_and(|since| now.0 >= since.0.saturating_add(PENDING_MS_MAX))
    }

    async fn remove(&mut self, queue: &Hidden, binding: Option<BindingSpec>) {
        let mut link = Link::open(&self.depot.engine, queue.vhost.clone(), Actor::Broker);
        if let Some(binding) = binding {
            let _ = link.define(Definition::Unbind(binding)).await;
        }
        let Hidden { vhost, name } = queue;
        let deletion = Definition::DeleteQueue { name: name.clone(), if_unused: false, if_empty: false };
        match link.define(deletion).await {
            Ok(_) => tracing::info!(queue = %name, %vhost, "a queue of a subscription that is not there was removed"),
            Err(refusal) => tracing::warn!(queue = %name, %vhost, reason = %refusal, "a queue cannot be removed"),
        }
    }

    fn employ(&mut self, queue: Hidden, actor: Actor) {
        if !self.couriers.contains_key(&queue) {
            let courier = tokio::spawn(Courier::run(self.depot.clone(), queue.clone(), actor));
            self.couriers.insert(queue, courier);
        }
    }

    async fn forget_ended(&mut self) {
        let ended: Vec<Hidden> =
            self.couriers.iter().filter(|(_, courier)| courier.is_finished()).map(|(name, _)| name.clone()).collect();
        for queue in ended {
            let Some(courier) = self.couriers.remove(&queue) else { continue };
            let reason = match courier.await {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(error) => format!("a defect: {error}"),
            };
            self.refuse(&queue, &reason);
        }
    }
}
