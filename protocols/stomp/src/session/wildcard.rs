//! Wildcards in `/queue/…` (ActiveMQ): a subscription to all queues of such names, those that will be made among them.
//!
//! Every queue that is found gets a consumer of its own. A queue that is deleted is no loss: the subscription goes on with the others.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::{Command, ConsumerId, Name, Output, Refusal};

use super::Session;
use super::plan::Plan;
use super::requests::{Purpose, ReceiptId};
use super::subscriptions::{Part, Subscription};
use crate::destination::{Destination, queue_pattern};
use crate::error::Fault;

/// What queues begin with that are somebody's own: durable subscriptions to topics, and what SNS has on its way.
const OWN: [&str; 3] = ["stomp-subscription-", "stomp-durable-", "aws.sns."];

impl Session {
    /// The pattern that a destination is, if it is one.
    pub(super) fn wildcards(&self, destination: &Destination) -> Option<Bytes> {
        match destination {
            Destination::Queue(name) if self.options.queue_wildcards => queue_pattern(name),
            _ => None,
        }
    }

    /// Asks for the queues.
    pub(super) fn follow(&mut self, pattern: Bytes, plan: Plan, receipt: Option<ReceiptId>, output: &mut Output) {
        let subscription = Subscription {
            tag: plan.tag.clone(),
            mode: plan.mode,
            queue: Name::default(),
            window: plan.window,
            part: Part::Follower(Arc::new(Plan { found: true, ..plan })),
            template: None,
        };
        let follower = self.add(subscription, output);
        let request = self.requests.ask(Purpose::Follow(follower), receipt);
        output.commands.push(Command::FollowQueues { request, follower, pattern });
    }

    /// Consumes from the queues that are there.
    pub(super) fn found(
        &mut self,
        follower: ConsumerId,
        queues: Vec<Name>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(plan) = self.plan_of(follower) else { return Ok(()) };
        for queue in queues.into_iter().filter(|queue| !OWN.iter().any(|own| queue.starts_with(own))) {
            self.check_room()?;
            self.bind_and_consume((*plan).clone(), queue, receipt, output);
        }
        Ok(())
    }

    /// Another queue is there.
    pub(super) fn queue_made(&mut self, follower: ConsumerId, queue: Name, output: &mut Output) -> Result<(), Fault> {
        let Some(plan) = self.plan_of(follower) else { return Ok(()) };
        // It was made, deleted and made again before the first of these came here.
        if self.subscriptions.iter().any(|(_, known)| known.queue == queue && known.tag == plan.tag) {
            return Ok(());
        }
        self.found(follower, vec![queue], None, output)
    }

    fn plan_of(&mut self, follower: ConsumerId) -> Option<Arc<Plan>> {
        if self.is_leaving() {
            return None;
        }
        match &self.subscriptions.of_mut(follower)?.part {
            Part::Follower(plan) => Some(plan.clone()),
            _ => None,
        }
    }

    /// Nobody named the queue: one that cannot be consumed is passed over.
    pub(super) fn passed_over(&mut self, purpose: &Purpose, refusal: &Refusal) -> bool {
        let Purpose::Found(consumer) = purpose else { return false };
        let is_of_queue = matches!(
            refusal,
            Refusal::NotFound { .. }
                | Refusal::AccessRefused { .. }
                | Refusal::Forbidden(_)
                | Refusal::ResourceLocked { .. }
        );
        is_of_queue && self.subscriptions.forget(*consumer).is_some()
    }
}
