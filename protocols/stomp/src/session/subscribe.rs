//! SUBSCRIBE and UNSUBSCRIBE: which queue, how it is bound, how it is consumed.

use bytes::Bytes;
use crossdock_common::command::{BoundedBy, Subscribe};
use crossdock_common::definition::{self, BindingSpec, Definition, QueueSpec};
use crossdock_common::{Command, ConsumerId, Lane, Name, Output, Table, Text};

use super::requests::{Purpose, ReceiptId};
use super::send::destination;
use super::subscriptions::{AckMode, Subscription, Tag};
use super::{Session, argument, queue_spec};
use crate::destination::Destination;
use crate::error::{Fault, quote};
use crate::frame::{Frame, Headers};

/// Longest queue name that is derived from a subscription, as AMQP has it.
const QUEUE_NAME_BYTES_MAX: usize = 255;
/// Arguments of the consumer that are passed on.
const ARGUMENTS: [&str; 3] = ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

/// How to consume, once the queue has its name.
pub(super) struct Plan {
    tag: Tag,
    mode: AckMode,
    window: u32,
    priority: i32,
    exclusive: bool,
    arguments: Table,
    binding: Option<(Name, Bytes)>,
    durable: bool,
}

impl Plan {
    /// The queue behind a `/temp-queue/…`: its deliveries come with that name as subscription.
    pub(super) fn of_reply_queue(temp_queue: &str) -> Self {
        Self {
            tag: Tag::of_id(temp_queue),
            mode: AckMode::Auto,
            window: 0,
            priority: 0,
            exclusive: false,
            arguments: Table::new(),
            binding: None,
            durable: false,
        }
    }

    fn parse(headers: &Headers, tag: Tag) -> Result<Self, Fault> {
        let mode = AckMode::parse(headers)?;
        let window = if mode == AckMode::Auto { 0 } else { number(headers, "prefetch-count")? };
        Ok(Self {
            mode,
            window,
            priority: number(headers, "x-priority")?,
            arguments: ARGUMENTS
                .into_iter()
                .filter_map(|name| Some((Text::from_static(name), argument(&headers.get(name)?))))
                .collect(),
            durable: headers.is_true("durable") || headers.is_true("persistent"),
            ..Self::of_reply_queue("").with_tag(tag)
        })
    }

    fn with_tag(self, tag: Tag) -> Self {
        Self { tag, ..self }
    }
}

impl Session {
    pub(super) fn subscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let headers = &frame.headers;
        let destination = destination(headers, "SUBSCRIBE")?;
        let tag = Tag::parse(headers, self.version, "SUBSCRIBE")?;
        if self.subscriptions.contains(&tag) {
            let detail = format!("A subscription identified by '{}' already exists.", quote(&tag.0));
            return Err(Fault::violation("Duplicated subscription identifier", detail));
        }
        self.subscriptions.check_room(&self.limits)?;
        let plan = Plan::parse(headers, tag)?;
        if plan.durable && headers.get("id").is_none() {
            return Err(Fault::violation("Missing Header", "Header 'id' is required for durable subscriptions"));
        }
        match destination {
            Destination::Queue(name) => {
                let default = QueueSpec { name: name.clone(), durable: true, ..QueueSpec::default() };
                self.declare(queue_spec(headers, default), receipt, output);
                self.bind_and_consume(Plan { durable: false, ..plan }, name, receipt, output);
            }
            Destination::Topic(_) | Destination::Exchange(..) => {
                self.consume_topic(frame, &destination, plan, receipt, output);
            }
            Destination::AmqQueue(name) | Destination::ReplyQueue(name) | Destination::TempQueue(name) => {
                let exclusive = headers.is_true("exclusive");
                self.bind_and_consume(Plan { durable: false, exclusive, ..plan }, name, receipt, output);
            }
        }
        Ok(())
    }

    /// A queue of the subscription's own: named after it if it is durable, by the broker if it is not.
    fn consume_topic(
        &mut self,
        frame: &Frame,
        destination: &Destination,
        plan: Plan,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let headers = &frame.headers;
        let plan = Plan { binding: Some(destination.route()), ..plan };
        let name = match headers.get("x-queue-name") {
            Some(name) => Name::from(&*name),
            None if plan.durable => durable_queue_name(headers),
            None => Name::default(),
        };
        let default = QueueSpec {
            exclusive: !plan.durable,
            auto_delete: !plan.durable,
            durable: plan.durable,
            name,
            ..QueueSpec::default()
        };
        let spec = queue_spec(headers, default);
        let name = spec.name.clone();
        let declare = Definition::DeclareQueue { spec, passive: false };
        if name.is_empty() {
            self.awaited_name = Some(self.define(Purpose::SubscribeTo(Box::new(plan)), declare, receipt, output));
        } else {
            self.define(Purpose::Plain, declare, receipt, output);
            self.bind_and_consume(plan, name, receipt, output);
        }
    }

    /// The queue has its name.
    pub(super) fn bind_and_consume(
        &mut self,
        plan: Plan,
        queue: Name,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        if let Some((source, key)) = plan.binding {
            let destination = definition::Destination::Queue(queue.clone());
            let (arguments, attributes) = (Table::new(), Table::new());
            let binding = BindingSpec { source, destination, key, arguments, announced: false, attributes };
            self.define(Purpose::Plain, Definition::Bind(binding), receipt, output);
        }
        let (tag, mode, durable) = (plan.tag, plan.mode, plan.durable);
        let consumer = self.subscriptions.add(Subscription { tag, mode, queue: queue.clone(), durable });
        if consumer == ConsumerId(1) {
            let window = u32::try_from(self.limits.unsettled_max).unwrap_or(u32::MAX);
            output.commands.push(Command::LaneWindow { lane: Lane::default(), window });
        }
        let subscribe = Box::new(Subscribe {
            consumer,
            lane: Lane::default(),
            queue,
            presettled: mode == AckMode::Auto,
            exclusive: plan.exclusive,
            priority: plan.priority,
            window: plan.window,
            bounded_by: BoundedBy::Protocol,
            arguments: plan.arguments,
        });
        let request = self.requests.ask(Purpose::Plain, receipt);
        output.commands.push(Command::Subscribe { request, subscribe });
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let tag = Tag::parse(&frame.headers, self.version, "UNSUBSCRIBE")?;
        let Some((consumer, subscription)) = self.subscriptions.end(&tag) else {
            let described = tag.describe();
            let detail =
                format!("UNSUBSCRIBE must refer to an existing subscription.\nSubscription to {described} not found.");
            return Err(Fault::violation("No subscription found", detail));
        };
        let request = self.requests.ask(Purpose::Unsubscribe(consumer), receipt);
        output.commands.push(Command::Unsubscribe { request, consumer });
        if subscription.durable && (frame.headers.is_true("durable") || frame.headers.is_true("persistent")) {
            let delete = Definition::DeleteQueue { name: subscription.queue, if_unused: false, if_empty: false };
            self.define(Purpose::DeleteQueue, delete, receipt, output);
        }
        Ok(())
    }

    /// The core ended a consumer. An ERROR always ends the connection, so that no client waits for messages in vain.
    pub(super) fn cancelled(&mut self, consumer: ConsumerId) -> Result<(), Fault> {
        let Some(subscription) = self.subscriptions.forget(consumer) else { return Ok(()) };
        let detail = format!(
            "The server has canceled a subscription.\nNo more messages will be delivered for {}.",
            subscription.tag.describe()
        );
        let fault = Fault::refused("Server cancelled subscription", detail);
        Err(Fault { subscription: subscription.tag.id().map(Text::from), ..fault })
    }
}

/// A name that an operator recognises, and that the same id and destination give again.
fn durable_queue_name(headers: &Headers) -> Name {
    let id = headers.get("id").unwrap_or_default();
    let destination = headers.get("destination").unwrap_or_default();
    let name = format!("stomp-subscription-{id}@{destination}");
    if name.len() <= QUEUE_NAME_BYTES_MAX {
        return Name::from(name);
    }
    let hash = fnv(name.as_bytes());
    let mut end = QUEUE_NAME_BYTES_MAX - 33;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    Name::from(format!("{}-{hash:032x}", name.get(..end).unwrap_or_default()))
}

/// FNV-1a, 128 bits: short names for long ids, not a secret.
fn fnv(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

fn number<N: std::str::FromStr + Default>(headers: &Headers, name: &'static str) -> Result<N, Fault> {
    let Some(text) = headers.get(name) else { return Ok(N::default()) };
    text.trim().parse().map_err(|_| {
        Fault::violation("Invalid header", format!("{name} '{}' is not a number in its range", quote(&text)))
    })
}
