//! What clients do.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{BoundedBy, Fetch, Lease, Outcome, Publish, PublishRun, Subscribe};
use crossdock_common::definition::{BindingSpec, Definition, Destination, QueueSpec};
use crossdock_common::{Command, ConsumerId, Lane, Message, Now, UnixMillis};

use super::super::streams::STREAMS;
use super::super::truth::{FLEETING, PLANS, PUBLISHED, Plan, plan_of};
use super::{History, PRESETTLED, connect};

/// Where a message goes.
struct Destined {
    name: &'static str,
    /// It is this stream.
    stream: Option<usize>,
    everywhere: bool,
}

impl Destined {
    fn address(&self) -> (&'static str, &'static str) {
        if self.everywhere { ("amq.fanout", "") } else { ("", self.name) }
    }
}

impl History {
    pub(super) fn declare(&mut self, plan: &Plan) {
        let name = plan.name.into();
        let (arguments, settings) = (plan.table(), plan.settings());
        let spec = QueueSpec { name, durable: true, arguments, settings: settings.into(), ..QueueSpec::default() };
        self.define(Definition::DeclareQueue { spec, passive: false });
        if plan.source().is_none() {
            let announced = self.random.below(2) == 0;
            self.define(Definition::Bind(BindingSpec {
                source: "amq.fanout".into(),
                destination: Destination::Queue(plan.name.into()),
                key: Bytes::new(),
                arguments: vec![],
                announced,
                attributes: vec![],
            }));
        }
    }

    pub(super) fn publish(&mut self) {
        let to = self.some_destination();
        let (exchange, key) = to.address();
        let message = self.truth.next(self.world.now, &mut self.random, exchange, key);
        let number = self.truth.published;
        self.sent(&to, number..=number);
        let confirm = (self.random.below(4) != 0).then_some(number);
        self.send_message(message, confirm);
    }

    pub(super) fn publish_run(&mut self) {
        let to = self.some_destination();
        let (exchange, key) = to.address();
        let (first, run) = self.truth.next_run(self.world.now, &mut self.random, exchange, key);
        self.sent(&to, first..=self.truth.published);
        let (lane, confirm) = (Lane(0), (self.random.below(4) != 0).then_some(first));
        self.send(Command::PublishRun(Box::new(PublishRun { lane, confirm, run, mandatory: false })));
    }

    fn some_destination(&mut self) -> Destined {
        let plan = self.some_queue(PUBLISHED);
        let stream = (self.random.below(4) == 0).then(|| self.random.below(STREAMS.len() as u64) as usize);
        let name = stream.map_or(plan.name, |stream| STREAMS[stream].name);
        Destined { name, stream, everywhere: self.random.below(3) == 0 }
    }

    fn sent(&mut self, to: &Destined, numbers: RangeInclusive<u64>) {
        for number in numbers {
            for plan in PLANS[..PUBLISHED].iter().filter(|other| to.everywhere || other.name == to.name) {
                if self.exists(plan) {
                    self.truth.sent(plan, number);
                }
            }
            for (index, truth) in self.streams.iter_mut().enumerate() {
                if to.everywhere || to.stream == Some(index) {
                    truth.sent(number, self.world.now);
                }
            }
        }
    }

    fn send_message(&mut self, message: Message, confirm: Option<u64>) {
        let (lane, message) = (Lane(0), Arc::new(message));
        let (mandatory, retain, exactly_once) = (false, false, None);
        self.send(Command::Publish(Publish { lane, confirm, message, mandatory, retain, exactly_once }));
    }

    /// A publisher that did not hear its confirm.
    pub(super) fn publish_again(&mut self) {
        if let Some(message) = self.truth.again(self.world.now, &mut self.random) {
            self.send_message(message, None);
        }
    }

    pub(super) fn fetch(&mut self) {
        let plan = self.some_queue(PLANS.len());
        if !self.exists(plan) {
            return;
        }
        let lease = if self.random.below(2) == 0 { Lease::Connection } else { Lease::Timed { lease_ms: 1_000 } };
        let (count_max, presettled) = (self.random.below(4) as u32, self.random.below(8) == 0);
        let wait_ms = self.random.below(2) * 300;
        self.fetch_with(Fetch { lane: Lane(0), queue: plan.name.into(), count_max, presettled, lease, wait_ms });
    }

    pub(super) fn fetch_with(&mut self, fetch: Fetch) {
        let request = self.request();
        self.fetches.insert(request.0, fetch.presettled);
        self.send(Command::Fetch { request, fetch: Box::new(fetch) });
    }

    pub(super) fn consume(&mut self) {
        // One at a time: several would each have an order of their own.
        if self.consumers > 0 {
            let consumer = ConsumerId(self.consumers);
            let request = self.request();
            self.consumers = 0;
            return self.send(Command::Unsubscribe { request, consumer });
        }
        let plan = self.some_queue(PLANS.len());
        if !self.exists(plan) {
            return;
        }
        let request = self.request();
        let presettled = self.random.below(6) == 0;
        self.consumers = if presettled { PRESETTLED + request.0 } else { 1 + request.0 % (PRESETTLED - 1) };
        let subscribe = Box::new(Subscribe {
            consumer: ConsumerId(self.consumers),
            lane: Lane(1),
            queue: plan.name.into(),
            presettled,
            exclusive: false,
            priority: 0,
            window: 1 + self.random.below(6) as u32,
            bounded_by: BoundedBy::Peer,
            arguments: vec![],
        });
        self.send(Command::Subscribe { request, subscribe });
    }

    pub(super) fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (delivery, key) = self.held.swap_remove(self.random.below(self.held.len() as u64) as usize);
        let Some(plan) = self.plan_of(&delivery) else { return };
        let outcome = match self.random.below(7) {
            0 => Outcome::Released,
            1 => Outcome::Modified { delay_ms: 300 },
            2 => Outcome::Rejected,
            _ => Outcome::Accepted,
        };
        let request = (self.random.below(4) != 0).then(|| self.request());
        match outcome {
            Outcome::Accepted => self.truth.open(key),
            Outcome::Rejected => self.truth.rejected(plan, key.1),
            Outcome::Released | Outcome::Modified { .. } => {}
        }
        let leaves = outcome == Outcome::Accepted || outcome == Outcome::Rejected && plan.letters.is_none();
        if let Some(request) = request.filter(|_| leaves) {
            self.leaving.insert(request.0, vec![key]);
        }
        self.send(Command::Settle { deliveries: vec![delivery], outcome, request });
    }

    pub(super) fn purge(&mut self) {
        let plan = self.some_queue(PLANS.len());
        if !self.exists(plan) {
            return;
        }
        let request = self.request();
        let mut commands = VecDeque::from([Command::Purge { request, queue: plan.name.into(), everything: false }]);
        self.purger.execute(self.world.now, &mut commands);
        // It may have to wait for the purge before it: then nobody asked.
        if commands.is_empty() {
            let going = self.truth.purge(plan);
            self.leaving.insert(request.0, going);
        }
    }

    pub(super) fn delete_or_make(&mut self) {
        if std::mem::replace(&mut self.fleeting_exists, false) {
            let all = self.truth.remove(FLEETING);
            let delete = Definition::DeleteQueue { name: FLEETING.into(), if_unused: false, if_empty: false };
            let request = self.define(delete);
            self.leaving.insert(request.0, all);
        } else {
            self.fleeting_exists = true;
            plan_of(FLEETING).into_iter().for_each(|plan| self.declare(plan));
        }
    }

    pub(super) fn advance_ms(&mut self, ms: u64) {
        let now = self.world.now;
        self.world.now = Now { instant: now.instant.after_ms(ms), unix: UnixMillis(now.unix.0 + ms) };
        self.life.tick(self.world.now);
    }

    pub(super) fn written(&mut self) {
        self.client.written(self.world.now, std::mem::take(&mut self.unwritten_bytes));
    }

    pub(super) fn fill_disk(&mut self) {
        let disk = &self.world.disk;
        let room_bytes = if self.random.below(2) == 0 { self.random.below(20_000) } else { 1 << 40 };
        disk.set_capacity_bytes(disk.used_bytes() + room_bytes);
    }

    pub(super) fn reconnect(&mut self) {
        self.client.end(self.world.now);
        // What it was given in the end, it has seen.
        self.hear();
        self.client = connect(&self.life, self.world.now);
        self.forget_client();
    }

    pub(super) fn connect_all(&mut self) {
        self.forget_client();
        self.leaving.clear();
        [self.client, self.admin, self.purger] = std::array::from_fn(|_| connect(&self.life, self.world.now));
    }

    fn forget_client(&mut self) {
        self.held.clear();
        self.fetches.clear();
        self.cursors.clear();
        (self.consumers, self.unwritten_bytes) = (0, 0);
    }
}
