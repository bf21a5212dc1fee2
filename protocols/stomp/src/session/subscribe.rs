//! SUBSCRIBE and UNSUBSCRIBE: which queue, how it is bound, how it is consumed.

use crossdock_common::command::{BoundedBy, Subscribe};
use crossdock_common::definition::{self, BindingSpec, Definition, QueueSpec};
use crossdock_common::{Command, ConsumerId, Lane, Name, Output, Table, Text};

use super::durable::Durable;
use super::plan::{Binding, Plan, selector};
use super::requests::{Purpose, ReceiptId};
use super::subscriptions::{AckMode, Part, Subscription, Tag};
use super::{Session, queue_spec};
use crate::destination::Destination;
use crate::error::{Fault, quote};
use crate::frame::{Frame, Headers};

impl Session {
    pub(super) fn subscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let headers = &frame.headers;
        let Some(text) = headers.get("destination") else {
            return Err(Fault::missing("Missing destination", "SUBSCRIBE", "destination"));
        };
        let destinations = Destination::parse_all(&text)?;
        let tag = Tag::parse(headers, self.version(), "SUBSCRIBE")?;
        if self.subscriptions.contains(&tag) {
            let detail = format!("A subscription identified by '{}' already exists.", quote(&tag.0));
            return Err(Fault::violation("Duplicated subscription identifier", detail));
        }
        self.check_browser(headers, &destinations)?;
        let durable = self.durable(headers)?;
        if durable.is_some() && destinations.len() > 1 {
            let detail = "A durable subscription has one destination";
            return Err(Fault::violation("Invalid destination", detail));
        }
        for destination in &destinations {
            self.check_room()?;
            let plan = Plan::parse(headers, tag.clone(), self.options.prefetch_default)?;
            self.consume(headers, destination, durable.as_ref(), plan, receipt, output);
        }
        Ok(())
    }

    /// Whether there may be one more subscription, or temporary queue: those of browsers stay when the subscription is over.
    pub(super) fn check_room(&self) -> Result<(), Fault> {
        let most = self.limits().consumers_max;
        if self.subscriptions.len() < most && self.replies.len() < most {
            return Ok(());
        }
        Err(Fault::violation("Too many subscriptions", format!("a connection may have {most} subscriptions")))
    }

    /// The core has ended it.
    pub(super) fn unsubscribed(&mut self, consumer: ConsumerId) {
        let Some(over) = self.subscriptions.forget(consumer) else { return };
        self.unsettled.forget_if_settled(&over.tag);
        // A temporary queue went with its last consumer: its name may mean another one from now on.
        if !self.subscriptions.iter().any(|(_, other)| other.queue == over.queue) {
            self.replies.retain(|_, queue| *queue != over.queue);
        }
    }

    fn consume(
        &mut self,
        headers: &Headers,
        destination: &Destination,
        durable: Option<&Durable>,
        plan: Plan,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        match destination {
            Destination::Queue(name) => {
                // Of a queue that is declared here, `exclusive` was said already.
                let plan = Plan { exclusive: headers.is_true("activemq.exclusive"), ..plan };
                if let Some(pattern) = self.wildcards(destination) {
                    return self.follow(pattern, plan, receipt, output);
                }
                let default = QueueSpec { name: name.clone(), durable: true, ..QueueSpec::default() };
                self.declare(queue_spec(headers, default), receipt, output);
                self.bind_and_consume(plan, name.clone(), receipt, output);
            }
            Destination::Topic(_) | Destination::Exchange(..) => {
                self.consume_topic(headers, destination, durable, plan, receipt, output);
            }
            Destination::AmqQueue(name) | Destination::ReplyQueue(name) => {
                self.bind_and_consume(plan, name.clone(), receipt, output);
            }
            Destination::TempQueue(name) => self.consume_temporary(name, plan, receipt, output),
        }
    }

    /// A queue of this connection, made on first use (ActiveMQ; with RabbitMQ, `reply-to` makes it).
    fn consume_temporary(&mut self, name: &Name, plan: Plan, receipt: Option<ReceiptId>, output: &mut Output) {
        let temporary = Text::from(format!("{}{name}", super::send::TEMP_QUEUE));
        if let Some(queue) = self.replies.get(&temporary).cloned() {
            return self.bind_and_consume(plan, queue, receipt, output);
        }
        let spec = QueueSpec { exclusive: true, auto_delete: true, ..QueueSpec::default() };
        self.declare_unnamed(spec, Plan { temporary: Some(temporary), ..plan }, receipt, output);
    }

    fn declare_unnamed(&mut self, spec: QueueSpec, plan: Plan, receipt: Option<ReceiptId>, output: &mut Output) {
        let declare = Definition::DeclareQueue { spec, passive: false };
        self.define(Purpose::SubscribeTo(Box::new(plan)), declare, receipt, output);
        self.awaited += 1;
    }

    /// A queue of the subscription's own: named after it if it is durable, by the broker if it is not. What it does not want does
    /// not come into the queue.
    fn consume_topic(
        &mut self,
        headers: &Headers,
        destination: &Destination,
        durable: Option<&Durable>,
        plan: Plan,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let (exchange, pattern) = destination.pattern();
        let binding = Binding { exchange, pattern, arguments: selector(headers).into_iter().collect() };
        let plan = Plan {
            binding: Some(binding),
            durable: durable.is_some(),
            exclusive: durable.is_some_and(|durable| durable.of_client),
            // A durable subscription may have had another selector before.
            arguments: if durable.is_some() { plan.arguments } else { Table::new() },
            ..plan
        };
        let name = match headers.get("x-queue-name") {
            Some(name) => Name::from(&*name),
            None => durable.map(|durable| durable.queue.clone()).unwrap_or_default(),
        };
        let is_durable = durable.is_some();
        let default = QueueSpec {
            exclusive: !is_durable,
            auto_delete: !is_durable,
            durable: is_durable,
            name,
            ..QueueSpec::default()
        };
        let spec = queue_spec(headers, default);
        if spec.name.is_empty() {
            return self.declare_unnamed(spec, plan, receipt, output);
        }
        if is_durable && headers.get("x-queue-name").is_none() {
            return self.look_for_durable(spec, plan, receipt, output);
        }
        self.declare_and_consume(spec, plan, receipt, output);
    }

    /// The queue has a name that the headers say.
    pub(super) fn declare_and_consume(
        &mut self,
        spec: QueueSpec,
        plan: Plan,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let name = spec.name.clone();
        self.define(Purpose::Plain, Definition::DeclareQueue { spec, passive: false }, receipt, output);
        self.bind_and_consume(plan, name, receipt, output);
    }

    /// The queue has its name.
    pub(super) fn bind_and_consume(
        &mut self,
        mut plan: Plan,
        queue: Name,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        if let Some(Binding { exchange: source, pattern: key, arguments }) = plan.binding.take() {
            let destination = definition::Destination::Queue(queue.clone());
            let attributes = Table::new();
            let binding = BindingSpec { source, destination, key, arguments, announced: false, attributes };
            self.define(Purpose::Plain, Definition::Bind(binding), receipt, output);
        }
        let consumer = self.add_subscription(&plan, &queue, output);
        if plan.browser {
            return self.browse(consumer, queue, plan.arguments, receipt, output);
        }
        let subscribe = Box::new(Subscribe {
            consumer,
            lane: Lane::default(),
            queue,
            presettled: plan.mode == AckMode::Auto,
            exclusive: plan.exclusive,
            priority: plan.priority,
            window: plan.window,
            bounded_by: BoundedBy::Protocol,
            arguments: plan.arguments,
        });
        let purpose = if plan.found { Purpose::Found(consumer) } else { Purpose::Plain };
        let request = self.requests.ask(purpose, receipt);
        output.commands.push(Command::Subscribe { request, subscribe });
    }

    fn add_subscription(&mut self, plan: &Plan, queue: &Name, output: &mut Output) -> ConsumerId {
        let Plan { mode, window, .. } = *plan;
        let part = match plan {
            Plan { browser: true, .. } => Part::Browser,
            Plan { found: true, .. } => Part::Found,
            Plan { durable: true, .. } => Part::Durable,
            _ => Part::Consumer,
        };
        let (tag, queue) = (plan.tag.clone(), queue.clone());
        self.add(Subscription { tag, mode, queue, window, part, template: None }, output)
    }

    /// The first one says how many deliveries all of them may have together.
    pub(super) fn add(&mut self, subscription: Subscription, output: &mut Output) -> ConsumerId {
        let consumer = self.subscriptions.add(subscription);
        if consumer == ConsumerId(1) {
            let window = u32::try_from(self.limits().unsettled_max).unwrap_or(u32::MAX);
            output.commands.push(Command::LaneWindow { lane: Lane::default(), window });
        }
        consumer
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let headers = &frame.headers;
        let named = self.named_durable(headers)?;
        let tag = match Tag::parse(headers, self.version(), "UNSUBSCRIBE") {
            Ok(tag) => Some(tag),
            Err(_) if named.is_some() => None,
            Err(fault) => return Err(fault),
        };
        let ended = tag.as_ref().map(|tag| self.subscriptions.end(tag)).unwrap_or_default();
        if let (Some(tag), true, None) = (&tag, ended.is_empty(), &named) {
            let described = tag.describe();
            let detail = format!(
                "UNSUBSCRIBE must refer to an existing subscription.\nSubscription to \"{described}\" not found."
            );
            return Err(Fault::violation("No subscription found", detail));
        }
        let for_good = headers.is_true("durable") || headers.is_true("persistent");
        let mut over: Vec<Name> = named.into_iter().collect();
        for (consumer, subscription) in ended {
            if let Part::Follower(_) = subscription.part {
                output.commands.push(Command::UnfollowQueues { follower: consumer });
            }
            if !subscription.part.consumes() {
                self.subscriptions.forget(consumer);
                continue;
            }
            let request = self.requests.ask(Purpose::Unsubscribe(consumer), receipt);
            output.commands.push(Command::Unsubscribe { request, consumer });
            if matches!(subscription.part, Part::Durable) && for_good && !over.contains(&subscription.queue) {
                over.push(subscription.queue);
            }
        }
        for name in over {
            let delete = Definition::DeleteQueue { name, if_unused: false, if_empty: false };
            self.define(Purpose::DeleteQueue, delete, receipt, output);
        }
        Ok(())
    }

    /// The core ended a consumer. An ERROR always ends the connection, so that no client waits for messages in vain.
    pub(super) fn cancelled(&mut self, consumer: ConsumerId) -> Result<(), Fault> {
        let Some(subscription) = self.subscriptions.forget(consumer) else { return Ok(()) };
        if let Part::Found = subscription.part {
            return Ok(());
        }
        let detail = format!(
            "The server has canceled a subscription.\nNo more messages will be delivered for {}.",
            subscription.tag.describe()
        );
        let fault = Fault::refused("Server cancelled subscription", detail);
        Err(Fault { subscription: subscription.tag.id().map(Text::from), ..fault })
    }
}
