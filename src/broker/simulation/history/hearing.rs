//! What clients hear, and what follows from it.

use std::collections::VecDeque;

use crossdock_common::Event;
use crossdock_common::event::Delivery;
use crossdock_common::names::DeliveryId;
use crossdock_core::cost_bytes;

use super::super::truth::{Fate, Plan, plan_of};
use super::{History, PRESETTLED};

impl History {
    pub(super) fn hear(&mut self) {
        let mut events = VecDeque::new();
        // Hearing of some may make room for more.
        loop {
            for client in [&mut self.client, &mut self.admin, &mut self.purger] {
                client.take_events(self.world.now, &mut events);
            }
            if events.is_empty() {
                return;
            }
            events.drain(..).for_each(|event| self.heard(event));
        }
    }

    fn heard(&mut self, event: Event) {
        self.unwritten_bytes += cost_bytes(&event);
        match event {
            Event::Confirmed { confirms, .. } => {
                for number in confirms {
                    self.truth.confirmed(number);
                    self.streams.iter_mut().for_each(|stream| stream.confirmed(number));
                }
            }
            Event::Reply { request, result } => {
                self.fetches.remove(&request.0);
                let keys = self.leaving.remove(&request.0);
                if result.is_ok() {
                    keys.iter().for_each(|keys| self.truth.gone(keys));
                }
            }
            Event::Fetched { request, deliveries, .. } => {
                let presettled = self.fetches.remove(&request.0).unwrap_or(false);
                deliveries.iter().for_each(|delivery| self.delivered(delivery, presettled));
            }
            Event::Deliver(deliveries) => {
                deliveries.iter().for_each(|delivery| self.delivered(delivery, delivery.consumer.0 >= PRESETTLED));
            }
            Event::DeliverRun(run) => {
                run.deliveries().for_each(|delivery| self.delivered(&delivery, delivery.consumer.0 >= PRESETTLED));
            }
            _ => {}
        }
    }

    pub(super) fn plan_of(&self, delivery: &DeliveryId) -> Option<&'static Plan> {
        let name = self.life.broker.queue_name(delivery.queue)?;
        plan_of(name.split(' ').next()?)
    }

    fn delivered(&mut self, delivery: &Delivery, presettled: bool) {
        if self.read_from_stream(delivery) {
            return;
        }
        let Some(plan) = self.plan_of(&delivery.id) else { return };
        let key = self.truth.delivered(plan, delivery, if presettled { Fate::Open } else { Fate::Safe });
        match &mut self.found {
            Some(found) => found.push(key),
            None if !presettled => self.held.push((delivery.id, key)),
            None => {}
        }
    }
}
