//! SUBSCRIBE and UNSUBSCRIBE: bindings of the session's queue, shared queues, retained messages.

mod binding;

use std::collections::VecDeque;

use bytes::Bytes;
use crossdock_common::command::{BoundedBy, FetchRetained, Subscribe as Consume};
use crossdock_common::definition::{Definition, QueueSettings, QueueSpec};
use crossdock_common::event::{Reply, SessionInfo};
use crossdock_common::{Command, ConsumerId, Lane, Name, Refusal, RequestId, Table, Text};
use hashbrown::{HashMap, HashSet};

use crate::options::Offer;
use crate::packet::subscribe::{RetainHandling, Subscribe, SubscribeOptions, codes_len, put_codes};
use crate::packet::unsubscribe::Unsubscribe;
use crate::packet::{Kind, Version};
use crate::reason::{Fault, Reason};
use crate::requests::{Asked, Context, FilterAsked, Peer, Requests, Retained, STATE_SHARED, Step};
use crate::subscriptions::{Subscription, Subscriptions};
use crate::topic::Filter;
use binding::{attributes, binding, from_binding, shared_queue};

/// The consumer of the session's own queue.
pub(crate) const OWN_CONSUMER: ConsumerId = ConsumerId(0);

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered yet.
#[derive(Debug)]
struct Operation {
    kind: Kind,
    packet_id: u16,
    codes: Vec<u8>,
    waiting: usize,
    /// Subscriptions for which retained messages are wanted.
    retained: Vec<Retained>,
}

/// A shared subscription.
#[derive(Debug)]
pub(crate) struct Shared {
    pub filter: Text,
    pub subscription: Subscription,
}

/// The subscriptions of a session and what is being done about them.
#[derive(Debug, Default)]
pub(crate) struct Subscribing {
    pub own: Subscriptions,
    queue: Name,
    /// Boxed: few clients have any.
    shared: Option<Box<AllShared>>,
    /// What is asked for and not there yet. Boxed: most clients subscribe once.
    under_way: Option<Box<UnderWay>>,
}

/// The shared subscriptions of a session.
#[derive(Debug, Default)]
struct AllShared {
    by_consumer: HashMap<ConsumerId, Shared, foldhash::fast::RandomState>,
    consumers: HashMap<Text, ConsumerId, foldhash::fast::RandomState>,
    last_consumer: u64,
    /// Those that are being made.
    joining: HashSet<Text, foldhash::fast::RandomState>,
}

/// What the client and its subscriptions wait for.
#[derive(Debug, Default)]
struct UnderWay {
    operations: HashMap<u64, Operation, foldhash::fast::RandomState>,
    last_operation: u64,
    /// Retained messages that subscriptions are owed.
    retained: VecDeque<Retained>,
    /// Some of them are asked for.
    is_fetching: bool,
}

impl AllShared {
    fn len(&self) -> usize {
        self.by_consumer.len() + self.joining.len()
    }

    fn get_mut(&mut self, filter: &str) -> Option<&mut Shared> {
        self.by_consumer.get_mut(self.consumers.get(filter)?)
    }

    fn add(&mut self, filter: Text, subscription: Subscription) -> ConsumerId {
        self.last_consumer += 1;
        let consumer = ConsumerId(self.last_consumer);
        self.consumers.insert(filter.clone(), consumer);
        self.by_consumer.insert(consumer, Shared { filter, subscription });
        consumer
    }

    fn remove(&mut self, filter: &str) -> Option<(ConsumerId, Shared)> {
        let consumer = self.consumers.remove(filter)?;
        Some((consumer, self.by_consumer.remove(&consumer)?))
    }
}

impl UnderWay {
    fn is_over(&self) -> bool {
        self.operations.is_empty() && self.retained.is_empty() && !self.is_fetching
    }
}

impl Subscribing {
    /// The subscriptions of a session as it was opened.
    pub fn resume(info: &SessionInfo, levels_max: usize) -> Self {
        let mut subscribing = Self { queue: info.queue.clone(), ..Self::default() };
        for binding in &info.bindings {
            let Some((text, subscription)) = from_binding(binding) else { continue };
            if let Some(filter) = Filter::parse(&text, levels_max) {
                subscribing.own.insert(&filter, subscription);
            }
        }
        subscribing
    }

    /// The shared subscription with that consumer.
    pub fn shared(&self, consumer: ConsumerId) -> Option<&Shared> {
        self.shared.as_ref()?.by_consumer.get(&consumer)
    }

    /// Whether a shared subscription is being made: until then, who subscribes or unsubscribes has to wait.
    pub fn is_joining(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.joining.is_empty())
    }

    /// Takes a SUBSCRIBE.
    pub fn subscribe(&mut self, cx: &mut Context<'_>, packet: &Subscribe<'_>) -> Result<(), Fault> {
        check_filters(packet.entries().map(|(text, _)| text))?;
        check_offer(cx.peer, packet)?;
        let operation = self.begin(Kind::SubAck, packet.packet_id, packet.count);
        for (index, (text, options)) in packet.entries().enumerate() {
            let qos = options.qos.min(cx.peer.options.offer.qos_max);
            let options = SubscribeOptions { qos, ..options };
            let subscription = Subscription { options, id: packet.subscription_id };
            let begun = match Filter::parse(text, cx.peer.options.limits.topic_levels_max) {
                None => Err(Reason::TOPIC_FILTER_INVALID),
                Some(filter) if !is_offered(&filter, &cx.peer.options.offer) => Err(Reason::UNSPECIFIED),
                Some(filter) if filter.group.is_some() && options.no_local => {
                    return Err(Fault::protocol("no-local with a shared subscription [MQTT-3.8.3-4]"));
                }
                Some(filter) => self.subscribe_filter(cx, (operation, index), &filter, subscription),
            };
            self.begun(operation, index, begun);
        }
        self.finish(cx, operation)
    }

    fn begin(&mut self, kind: Kind, packet_id: u16, count: usize) -> u64 {
        let under_way = self.under_way.get_or_insert_default();
        under_way.last_operation += 1;
        let codes = vec![0; count];
        let operation = Operation { kind, packet_id, codes, waiting: 0, retained: Vec::new() };
        under_way.operations.insert(under_way.last_operation, operation);
        under_way.last_operation
    }

    fn operation(&mut self, id: u64) -> Option<&mut Operation> {
        self.under_way.as_mut()?.operations.get_mut(&id)
    }

    /// A filter is asked for (`Ok(true)`), or its code is known already.
    fn begun(&mut self, operation: u64, index: usize, begun: Result<bool, Reason>) {
        let Some(operation) = self.operation(operation) else { return };
        match begun {
            Ok(true) => operation.waiting += 1,
            Ok(false) => {}
            Err(reason) => operation.set_code(index, reason.0),
        }
    }

    fn subscribe_filter(
        &mut self,
        cx: &mut Context<'_>,
        place: (u64, usize),
        filter: &Filter<'_>,
        subscription: Subscription,
    ) -> Result<bool, Reason> {
        if filter.group.is_some() {
            return self.subscribe_shared(cx, place, filter, subscription);
        }
        // From now on: deliveries may come before the answer.
        let old = self.own.insert(filter, subscription);
        if old.is_none() && self.is_full(cx) {
            self.own.remove(filter);
            return Err(Reason::QUOTA_EXCEEDED);
        }
        let spec = binding(cx, self.queue.clone(), filter, attributes(subscription));
        ask(cx, place, filter, subscription, Step::Bind { old }, define(Definition::Bind(spec)));
        Ok(true)
    }

    fn is_full(&self, cx: &Context<'_>) -> bool {
        let shared = self.shared.as_ref().map_or(0, |shared| shared.len());
        self.own.len() + shared > cx.peer.options.limits.consumers_max
    }

    fn subscribe_shared(
        &mut self,
        cx: &mut Context<'_>,
        place: (u64, usize),
        filter: &Filter<'_>,
        subscription: Subscription,
    ) -> Result<bool, Reason> {
        let all = self.shared.get_or_insert_default();
        if let Some(shared) = all.get_mut(filter.text) {
            shared.subscription = subscription;
            keep_shared(cx, filter, subscription);
            return Err(Reason(subscription.options.qos as u8));
        }
        if !all.joining.insert(Text::from(filter.text)) {
            // Twice in one packet.
            return Err(Reason(subscription.options.qos as u8));
        }
        if self.is_full(cx) {
            self.joined(filter);
            return Err(Reason::QUOTA_EXCEEDED);
        }
        let expires_ms = cx.peer.options.shared_expiry_ms;
        let settings = QueueSettings { expires_ms, ..(*cx.peer.options.session_queue).clone() };
        let spec = QueueSpec { name: shared_queue(filter), durable: true, settings, ..QueueSpec::default() };
        let declare = Definition::DeclareQueue { spec, passive: false };
        ask(cx, place, filter, subscription, Step::DeclareShared, define(declare));
        Ok(true)
    }

    /// Takes an UNSUBSCRIBE.
    pub fn unsubscribe(&mut self, cx: &mut Context<'_>, packet: &Unsubscribe<'_>) -> Result<(), Fault> {
        check_filters(packet.filters())?;
        let operation = self.begin(Kind::UnsubAck, packet.packet_id, packet.count);
        for (index, text) in packet.filters().enumerate() {
            let begun = match Filter::parse(text, cx.peer.options.limits.topic_levels_max) {
                None => Err(Reason::TOPIC_FILTER_INVALID),
                Some(filter) => self.unsubscribe_filter(cx, (operation, index), &filter),
            };
            self.begun(operation, index, begun);
        }
        self.finish(cx, operation)
    }

    fn unsubscribe_filter(
        &mut self,
        cx: &mut Context<'_>,
        place: (u64, usize),
        filter: &Filter<'_>,
    ) -> Result<bool, Reason> {
        if filter.group.is_some() {
            let removed = self.shared.as_mut().and_then(|shared| shared.remove(filter.text));
            let (consumer, shared) = removed.ok_or(Reason::NO_SUBSCRIPTION_EXISTED)?;
            forget_shared(cx, filter);
            let command = move |request| Command::Unsubscribe { request, consumer };
            ask(cx, place, filter, shared.subscription, Step::Unconsume, command);
            return Ok(true);
        }
        let old = self.own.remove(filter).ok_or(Reason::NO_SUBSCRIPTION_EXISTED)?;
        let spec = binding(cx, self.queue.clone(), filter, Table::new());
        ask(cx, place, filter, old, Step::Unbind, define(Definition::Unbind(spec)));
        Ok(true)
    }

    /// The core has answered for one filter.
    pub fn answered(
        &mut self,
        cx: &mut Context<'_>,
        asked: FilterAsked,
        result: Result<Reply, Refusal>,
    ) -> Result<(), Fault> {
        let FilterAsked { operation, index, filter: text, subscription, step } = asked;
        let levels_max = cx.peer.options.limits.topic_levels_max;
        let Some(filter) = Filter::parse(&text, levels_max) else { return Ok(()) };
        let code = match result {
            // It is there with other settings: a group member of another configuration was first.
            Err(Refusal::PreconditionFailed(_)) if matches!(step, Step::DeclareShared) => {
                self.go_on(cx, (operation, index), &filter, subscription, step)
            }
            Err(refusal) => {
                self.undo(&filter, subscription, step);
                Some(failure_code(&refusal).0)
            }
            Ok(_) => self.go_on(cx, (operation, index), &filter, subscription, step),
        };
        let Some(code) = code else { return Ok(()) };
        if let Some(operation) = self.operation(operation) {
            operation.set_code(index, code);
            operation.waiting -= 1;
        }
        self.finish(cx, operation)
    }

    /// A step succeeded: the next one, or the code if it was the last.
    fn go_on(
        &mut self,
        cx: &mut Context<'_>,
        place: (u64, usize),
        filter: &Filter<'_>,
        subscription: Subscription,
        step: Step,
    ) -> Option<u8> {
        match step {
            Step::Bind { old } => {
                self.want_retained(place.0, filter, subscription, old.is_none());
                return Some(subscription.options.qos as u8);
            }
            Step::Unbind | Step::Unconsume => return Some(Reason::SUCCESS.0),
            Step::DeclareShared => {
                let spec = binding(cx, shared_queue(filter), filter, Table::new());
                ask(cx, place, filter, subscription, Step::BindShared, define(Definition::Bind(spec)));
            }
            Step::BindShared => {
                self.joined(filter);
                let consumer = self.shared.get_or_insert_default().add(Text::from(filter.text), subscription);
                let command = consume(cx, consumer, filter);
                ask(cx, place, filter, subscription, Step::Consume { consumer }, command);
            }
            Step::Consume { .. } => {
                keep_shared(cx, filter, subscription);
                return Some(subscription.options.qos as u8);
            }
        }
        None
    }

    /// A step was refused: everything is as before.
    fn undo(&mut self, filter: &Filter<'_>, subscription: Subscription, step: Step) {
        match step {
            Step::Bind { old: Some(old) } => drop(self.own.insert(filter, old)),
            Step::Bind { old: None } => drop(self.own.remove(filter)),
            Step::Unbind => drop(self.own.insert(filter, subscription)),
            Step::Consume { consumer } => self.cancelled(consumer),
            Step::DeclareShared | Step::BindShared => self.joined(filter),
            Step::Unconsume => {}
        }
    }

    /// It is made, or it was refused.
    fn joined(&mut self, filter: &Filter<'_>) {
        if let Some(shared) = &mut self.shared {
            shared.joining.remove(filter.text);
        }
    }

    /// The queue of a shared subscription is gone.
    pub fn cancelled(&mut self, consumer: ConsumerId) {
        let Some(all) = &mut self.shared else { return };
        if let Some(shared) = all.by_consumer.remove(&consumer) {
            all.consumers.remove(&shared.filter);
        }
    }

    /// A shared subscription of a resumed session.
    pub fn resume_shared(&mut self, cx: &mut Context<'_>, text: &[u8], value: &[u8]) {
        let levels_max = cx.peer.options.limits.topic_levels_max;
        let Some(filter) = std::str::from_utf8(text).ok().and_then(|text| Filter::parse(text, levels_max)) else {
            return;
        };
        let Some((options, id)) = value.split_first() else { return };
        let id = id.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let Some(options) = SubscribeOptions::from_byte(*options) else { return };
        let subscription = Subscription { options, id };
        let consumer = self.shared.get_or_insert_default().add(Text::from(filter.text), subscription);
        let command = consume(cx, consumer, &filter);
        cx.ask(Asked::Resumed { consumer }, command);
    }

    fn want_retained(&mut self, operation: u64, filter: &Filter<'_>, subscription: Subscription, is_new: bool) {
        let is_wanted = match subscription.options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => is_new,
            RetainHandling::Never => false,
        };
        if let Some(operation) = self.operation(operation).filter(|_| is_wanted) {
            operation.retained.push(Retained { filter: Text::from(filter.text), subscription, after: None });
        }
    }

    /// A SUBSCRIBE is not answered yet.
    pub fn is_subscribing(&self) -> bool {
        let mut operations = self.under_way.iter().flat_map(|under_way| under_way.operations.values());
        operations.any(|operation| operation.kind == Kind::SubAck)
    }

    /// Asks for the next retained messages, if some are owed and none are on their way.
    pub fn fetch_retained(&mut self, peer: &Peer, requests: &mut Requests, commands: &mut Vec<Command>) {
        let Self { own, under_way: Some(under_way), .. } = self else { return };
        while !under_way.is_fetching
            && let Some(retained) = under_way.retained.pop_front()
        {
            let (exchange, levels_max) = (peer.options.exchange.clone(), peer.options.limits.topic_levels_max);
            let Some(filter) = Filter::parse(&retained.filter, levels_max) else { continue };
            if own.find(&filter) != Some(&retained.subscription) {
                // Unsubscribed or subscribed to otherwise meanwhile.
                continue;
            }
            let fetch = FetchRetained { exchange, pattern: filter.key(), after: retained.after.clone() };
            under_way.is_fetching = true;
            let command = |request| Command::FetchRetained { request, fetch: Box::new(fetch) };
            requests.ask(Asked::Retained(retained), commands, command);
        }
        self.under_way = self.under_way.take().filter(|under_way| !under_way.is_over());
    }

    /// They came; if there are more, those come before what other subscriptions are owed.
    pub fn fetched_retained(&mut self, retained: Retained) {
        let Some(under_way) = &mut self.under_way else { return };
        under_way.is_fetching = false;
        if retained.after.is_some() {
            under_way.retained.push_front(retained);
        }
    }

    /// Answers, once every filter has its code; then retained messages are owed.
    fn finish(&mut self, cx: &mut Context<'_>, id: u64) -> Result<(), Fault> {
        let Some(under_way) = &mut self.under_way else { return Ok(()) };
        if under_way.operations.get(&id).is_none_or(|operation| operation.waiting > 0) {
            return Ok(());
        }
        let Some(operation) = under_way.operations.remove(&id) else { return Ok(()) };
        operation.put(cx)?;
        under_way.retained.extend(operation.retained);
        // At once: what the client publishes from now on is not from before.
        self.fetch_retained(cx.peer, cx.requests, &mut cx.output.commands);
        Ok(())
    }
}

impl Operation {
    fn set_code(&mut self, index: usize, code: u8) {
        if let Some(slot) = self.codes.get_mut(index) {
            *slot = code;
        }
    }

    fn put(&self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let version = cx.peer.version;
        if codes_len(self.codes.len()) > cx.peer.packet_bytes_max {
            let rule = "acknowledgement beyond the client's maximum packet size [MQTT-3.1.2-27]";
            return Err(Fault::new(Reason::PACKET_TOO_LARGE, rule));
        }
        let codes: Vec<u8> = match version {
            Version::V5 => self.codes.clone(),
            // Older versions know one failure only.
            _ => self.codes.iter().map(|&code| code.min(Reason::UNSPECIFIED.0)).collect(),
        };
        put_codes(cx.buffer(), self.kind, version, self.packet_id, &codes);
        Ok(())
    }
}

/// What is no filter ends the connection before anything is done for the others ([MQTT-4.7.1-1], [MQTT-4.8.2-1]); a filter of too many
/// levels has a code of its own.
fn check_filters<'a>(mut filters: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    match filters.any(|text| Filter::parse(text, usize::MAX).is_none()) {
        true => Err(Fault::malformed("topic filter [MQTT-4.7.1-1]")),
        false => Ok(()),
    }
}

/// What a version 5 client was told at CONNECT that it may not (sections 3.2.2.3.11 to 3.2.2.3.13).
fn check_offer(peer: &Peer, packet: &Subscribe<'_>) -> Result<(), Fault> {
    let offer = &peer.options.offer;
    if !peer.version.is_v5() {
        return Ok(());
    }
    if packet.subscription_id.is_some() && !offer.subscription_identifiers {
        let rule = "mqtt.subscription_identifiers is off (section 3.2.2.3.12)";
        return Err(Fault::new(Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED, rule));
    }
    let levels_max = peer.options.limits.topic_levels_max;
    let mut filters = packet.entries().filter_map(|(text, _)| Filter::parse(text, levels_max));
    match filters.find(|filter| !is_offered(filter, offer)) {
        Some(filter) if filter.group.is_some() && !offer.shared_subscriptions => {
            Err(Fault::new(Reason::SHARED_NOT_SUPPORTED, "mqtt.shared_subscriptions is off (section 3.2.2.3.13)"))
        }
        Some(_) => {
            Err(Fault::new(Reason::WILDCARDS_NOT_SUPPORTED, "mqtt.wildcard_subscriptions is off (section 3.2.2.3.11)"))
        }
        None => Ok(()),
    }
}

fn is_offered(filter: &Filter<'_>, offer: &Offer) -> bool {
    (offer.shared_subscriptions || filter.group.is_none()) && (offer.wildcard_subscriptions || !filter.has_wildcards())
}

/// The code for a filter that the core refused (tables 3.9 and 3.11).
fn failure_code(refusal: &Refusal) -> Reason {
    match Reason::from(refusal) {
        reason @ (Reason::NOT_AUTHORIZED | Reason::QUOTA_EXCEEDED) => reason,
        _ => Reason::UNSPECIFIED,
    }
}

fn ask(
    cx: &mut Context<'_>,
    (operation, index): (u64, usize),
    filter: &Filter<'_>,
    subscription: Subscription,
    step: Step,
    command: impl FnOnce(RequestId) -> Command,
) {
    let asked = FilterAsked { operation, index, filter: Text::from(filter.text), subscription, step };
    cx.ask(Asked::Filter(Box::new(asked)), command);
}

fn define(definition: Definition) -> impl FnOnce(RequestId) -> Command {
    move |request| Command::Define { request, definition: Box::new(definition) }
}

fn consume(cx: &Context<'_>, consumer: ConsumerId, filter: &Filter<'_>) -> impl FnOnce(RequestId) -> Command + use<> {
    let subscribe = Consume {
        consumer,
        lane: Lane(0),
        queue: shared_queue(filter),
        presettled: false,
        exclusive: false,
        priority: 0,
        window: cx.peer.window(),
        bounded_by: BoundedBy::Protocol,
        arguments: Table::new(),
    };
    move |request| Command::Subscribe { request, subscribe: Box::new(subscribe) }
}

fn shared_key(filter: &Filter<'_>) -> Bytes {
    Bytes::from([&[STATE_SHARED], filter.text.as_bytes()].concat())
}

fn keep_shared(cx: &mut Context<'_>, filter: &Filter<'_>, subscription: Subscription) {
    if cx.peer.is_persistent {
        let mut value = vec![subscription.options.to_byte()];
        subscription.id.iter().for_each(|id| value.extend_from_slice(&id.to_be_bytes()));
        cx.keep_state(None, shared_key(filter), Some(Bytes::from(value)));
    }
}

fn forget_shared(cx: &mut Context<'_>, filter: &Filter<'_>) {
    if cx.peer.is_persistent {
        cx.keep_state(None, shared_key(filter), None);
    }
}
