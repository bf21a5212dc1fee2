//! From an exchange and a message to queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossdock_common::definition::BindingSpec;
use crossdock_common::names::QueueId;
use crossdock_common::value::lookup;
use crossdock_common::{Message, Name, Value};
use smallvec::SmallVec;

use super::Vhost;
use super::binding::{Binding, Target};
use crate::log::Sequence;

/// The queues that a message goes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Each queue once.
    pub targets: SmallVec<[RouteTarget; 1]>,
    /// The same exchange and key always give this result, until the definitions' version moves.
    pub cacheable: bool,
    /// The batch of the definitions' log that has to be durable for the route to survive a crash.
    pub defined: Sequence,
}

/// One queue of a route.
#[derive(Clone, Debug)]
pub(crate) struct RouteTarget {
    pub queue: QueueId,
    /// The announced binding that led here.
    pub binding: Option<AnnouncedBinding>,
}

/// A binding that deliveries tell about.
#[derive(Clone, Debug)]
pub(crate) struct AnnouncedBinding {
    /// The number under which records name it.
    pub serial: u64,
    pub spec: Arc<BindingSpec>,
}

impl Route {
    fn keep_each_queue_once(&mut self) {
        if self.targets.len() > 1 {
            self.targets.sort_by_key(|target| (target.queue, target.binding.is_none()));
            self.targets.dedup_by_key(|target| target.queue);
        }
    }
}

/// Exchange hops of one message; more are a loop that declares new exchanges as it goes.
const HOPS_MAX: usize = 256;

/// The route of a message published to `exchange` with these keys; `None` when there is no such exchange.
pub(crate) fn route(vhost: &Vhost, exchange: &Name, keys: &[Bytes], message: &Message) -> Option<Route> {
    let mut walk =
        Walk { vhost, keys, message, route: Route { cacheable: true, ..Route::default() }, visited: Vec::new() };
    if !vhost.exchanges.contains_key(exchange) {
        return None;
    }
    walk.follow(exchange);
    walk.route.keep_each_queue_once();
    Some(walk.route)
}

struct Walk<'a> {
    vhost: &'a Vhost,
    keys: &'a [Bytes],
    message: &'a Message,
    route: Route,
    visited: Vec<Name>,
}

impl Walk<'_> {
    fn follow(&mut self, start: &Name) {
        let mut pending = vec![start.clone()];
        while let Some(name) = pending.pop() {
            if self.visited.contains(&name) || self.visited.len() >= HOPS_MAX {
                continue;
            }
            let found_before = self.route.targets.len();
            let pending_before = pending.len();
            self.visit(&name, &mut pending);
            if self.route.targets.len() == found_before && pending.len() == pending_before {
                pending.extend(self.alternate(&name));
            }
            self.visited.push(name);
        }
    }

    fn visit(&mut self, name: &Name, pending: &mut Vec<Name>) {
        if name.is_empty() {
            return self.visit_default();
        }
        let Some(exchange) = self.vhost.exchanges.get(name) else { return };
        self.route.cacheable &= exchange.routes_by_key_alone();
        let (message, keys) = (self.message, self.keys);
        for key in keys {
            exchange.matches(key, message, |binding| self.take(binding, pending));
        }
    }

    fn visit_default(&mut self) {
        for key in self.keys {
            let queue = std::str::from_utf8(key).ok().and_then(|name| self.vhost.queues.get(name));
            let Some(queue) = queue else {
                // A queue may be made at any time, and nobody would be told.
                self.route.cacheable = false;
                continue;
            };
            queue.found_by_name.store(true, Ordering::Relaxed);
            self.route.targets.push(RouteTarget { queue: queue.id, binding: None });
        }
    }

    fn take(&mut self, binding: &Arc<Binding>, pending: &mut Vec<Name>) {
        match &binding.target {
            Target::Exchange(name) => pending.push(name.clone()),
            Target::Queue(queue) => {
                let announced = binding
                    .spec
                    .announced
                    .then(|| AnnouncedBinding { serial: binding.serial, spec: binding.spec.clone() });
                self.route.targets.push(RouteTarget { queue: *queue, binding: announced });
            }
        }
    }

    fn alternate(&self, name: &Name) -> Option<Name> {
        let exchange = self.vhost.exchanges.get(name)?;
        let declared = lookup(&exchange.spec.arguments, "alternate-exchange").and_then(Value::as_str).map(Name::from);
        declared.or_else(|| exchange.policy_alternate.clone())
    }
}
