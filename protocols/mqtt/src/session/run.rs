//! Runs on their way to the client: what all their deliveries have in common is found out once.

use crossdock_common::event::RunDelivery;
use crossdock_common::{FormatTag, Now, Output};

use super::delivering::{outgoing_qos, topic_of};
use super::{Session, context};
use crate::outbound::run::OutgoingRun;
use crate::subscribing::OWN_CONSUMER;

impl Session {
    /// Takes deliveries of messages that differ in their payloads only.
    pub(super) fn deliver_run(&mut self, now: Now, run: &RunDelivery, output: &mut Output) {
        if !self.put_run(now, run, output) {
            run.deliveries().for_each(|delivery| self.deliver(now, delivery, output));
        }
    }

    /// Writes all of them, if that can be done without looking at each; says whether it could.
    fn put_run(&mut self, now: Now, delivery: &RunDelivery, output: &mut Output) -> bool {
        let Self { peer, requests, outbound, subscribing, last_topic, .. } = self;
        let head = delivery.run.head();
        if delivery.consumer != OWN_CONSUMER || head.format.tag() != FormatTag::MQTT {
            return false;
        }
        let Some(topic) = topic_of(last_topic, &head.routing_key) else { return false };
        // Those with no-local subscriptions do not publish runs, so none is the client's own where that counts.
        let Some(matched) = subscribing.own.matched(&topic, false) else { return false };
        let outgoing = OutgoingRun { delivery, topic, qos: outgoing_qos(head, matched.qos, peer), ids: &matched.ids };
        outbound.get_or_insert_default().send_run(&mut context(now, peer, requests, output), &outgoing)
    }
}
