//! From an exchange and a message to queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Inner};
use crossdock_common::names::QueueId;
use crossdock_common::value::lookup;
use crossdock_common::{Message, Name, Value};
use smallvec::{SmallVec, smallvec};

use super::Vhost;
use super::binding::{Binding, Target};
use super::traffic::ExchangeTraffic;
use crate::broker::announce::names;
use crate::log::Sequence;

/// The queues that a message goes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Each queue once.
    pub targets: SmallVec<[RouteTarget; 1]>,
    /// How long it waits at a delayed-message exchange before it goes on, in milliseconds.
    pub delay_ms: Option<u64>,
    /// The same exchange and key always give this result, until the definitions' version moves.
    pub cacheable: bool,
    /// The batch of the definitions' log that has to be durable for the route to survive a crash.
    pub defined: Sequence,
    /// Where what is published is counted.
    pub traffic: Option<Arc<ExchangeTraffic>>,
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
    /// The message as it goes there.
    pub(crate) fn prepare(&self, message: Arc<Message>) -> Arc<Message> {
        let Some(delay_ms) = self.delay_ms else { return message };
        let mut message = Arc::try_unwrap(message).unwrap_or_else(|shared| shared.to_mutable());
        message.rare_mut().exchange_delay_ms = i64::try_from(delay_ms).ok();
        Arc::new(message)
    }

    fn keep_each_queue_once(&mut self) {
        if self.targets.len() > 1 {
            self.targets.sort_by_key(|target| (target.queue, target.binding.is_none()));
            self.targets.dedup_by_key(|target| target.queue);
        }
    }
}

/// Longest delay in milliseconds, as RabbitMQ's plugin: what asks for more is not delayed.
const DELAY_MS_MAX: i64 = 4_294_967_295;

/// How long the message asks to wait at a delayed-message exchange, unless it has waited already.
fn delay_of(message: &Message) -> Option<u64> {
    let known = message.rare.as_ref().and_then(|rare| rare.exchange_delay_ms);
    let asked = || match lookup(&message.hub().application_properties, "x-delay")? {
        Value::String(text) => text.parse().ok(),
        Value::F32(number) => Some(f64::from(*number) as i64),
        Value::F64(number) => Some(*number as i64),
        other => other.as_i64(),
    };
    let delay_ms = known.or_else(asked)?;
    u64::try_from(delay_ms).ok().filter(|_| (1..=DELAY_MS_MAX).contains(&delay_ms))
}

/// Exchange hops of one message; more are a loop that declares new exchanges as it goes.
const HOPS_MAX: usize = 256;

/// The route of a message published to `exchange` with these keys; `None` when there is no such exchange.
pub(crate) fn route(vhost: &Vhost, exchange: &Name, keys: &[Bytes], message: &Message) -> Option<Route> {
    let mut walk =
        Walk { vhost, keys, message, route: Route { cacheable: true, ..Route::default() }, visited: SmallVec::new() };
    if !vhost.exchanges.contains_key(exchange) {
        return None;
    }
    walk.follow(exchange);
    walk.route.keep_each_queue_once();
    Some(walk.route)
}

/// The queues that are bound to the first word of an announcement's key by name.
pub(crate) fn route_announcement(vhost: &Vhost, message: &Message) -> Route {
    let mut route = Route::default();
    let Some(exchange) = vhost.exchanges.get(&message.exchange) else { return route };
    exchange.matches(&message.routing_key, message, |binding| {
        if let (Target::Queue(queue), true) = (&binding.target, names(&binding.spec.key, &message.routing_key)) {
            route.targets.push(RouteTarget { queue: *queue, binding: None });
        }
    });
    route.keep_each_queue_once();
    route
}

/// Most messages go through one exchange.
type Hops = SmallVec<[Name; 1]>;

struct Walk<'a> {
    vhost: &'a Vhost,
    keys: &'a [Bytes],
    message: &'a Message,
    route: Route,
    visited: Hops,
}

impl Walk<'_> {
    fn follow(&mut self, start: &Name) {
        let mut pending: Hops = smallvec![start.clone()];
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

    fn visit(&mut self, name: &Name, pending: &mut Hops) {
        if name.is_empty() {
            return self.visit_default();
        }
        let Some(exchange) = self.vhost.exchanges.get(name) else { return };
        self.route.cacheable &= exchange.routes_by_key_alone();
        let (message, keys) = (self.message, self.keys);
        if let Some(queue) = exchange.delays
            && let Some(delay_ms) = delay_of(message)
        {
            self.route.delay_ms = Some(delay_ms);
            return self.route.targets.push(RouteTarget { queue, binding: None });
        }
        let keys = if exchange.routes_once() { keys.get(..1).unwrap_or_default() } else { keys };
        for key in keys {
            exchange.matches(key, message, |binding| self.take(binding, pending));
        }
    }

    fn visit_default(&mut self) {
        for key in self.keys {
            let queue = std::str::from_utf8(key).ok().and_then(|name| self.vhost.queues.get(name));
            match queue.map(|queue| (queue, &queue.spec.settings.inner)) {
                // A queue may be made at any time, and nobody would be told.
                None | Some((_, Some(Inner::Delays { .. }))) => {
                    self.route.cacheable = false;
                    continue;
                }
                // Those come and go, and nobody has to look up their routes again for that.
                Some((_, Some(Inner::Replies))) => self.route.cacheable = false,
                Some((queue, None)) => queue.found_by_name.store(true, Ordering::Relaxed),
            }
            let targets = queue.map(|queue| RouteTarget { queue: queue.id, binding: None });
            self.route.targets.extend(targets);
        }
    }

    fn take(&mut self, binding: &Arc<Binding>, pending: &mut Hops) {
        match &binding.target {
            Target::Exchange(name) => pending.push(name.clone()),
            Target::Standing(aim) => match aim.queue() {
                Some(queue) => self.take_queue(queue, binding),
                None => {
                    // Not kept, so that each message is counted.
                    self.route.cacheable = false;
                    self.vhost.standing.lost.fetch_add(1, Ordering::Relaxed);
                }
            },
            Target::Queue(queue) => self.take_queue(*queue, binding),
        }
    }

    fn take_queue(&mut self, queue: QueueId, binding: &Arc<Binding>) {
        let announced =
            binding.spec.announced.then(|| AnnouncedBinding { serial: binding.serial, spec: binding.spec.clone() });
        self.route.targets.push(RouteTarget { queue, binding: announced });
    }

    fn alternate(&self, name: &Name) -> Option<Name> {
        let exchange = self.vhost.exchanges.get(name)?;
        let declared = lookup(&exchange.spec.arguments, "alternate-exchange").and_then(Value::as_str).map(Name::from);
        declared.or_else(|| exchange.policy_alternate.clone())
    }
}
