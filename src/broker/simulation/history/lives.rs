//! How a process ends, and how the next one begins.

use std::collections::VecDeque;

use crossdock_common::Event;
use crossdock_common::definition::Definition;

use super::super::truth::{End, FLEETING, plan_of};
use super::{Faults, History};

impl History {
    pub(super) fn end(&mut self) {
        self.hear();
        let was_cut = !self.world.disk.is_powered();
        let end = if was_cut || self.faults.sync || self.random.below(2) == 0 { End::Power } else { End::Process };
        self.world.disk.set_capacity_bytes(u64::MAX);
        if end == End::Process && self.random.below(2) == 0 && !self.life.has_failed() {
            self.close();
        }
        match end {
            End::Power => self.world.disk.crash(),
            End::Process => self.world.disk.kill(),
        }
        self.ended(end);
        self.begin();
    }

    pub(super) fn ended(&mut self, end: End) {
        self.truth.ended(end);
        self.streams.iter_mut().for_each(|stream| stream.ended(end));
    }

    pub(super) fn close(&mut self) {
        self.client.end(self.world.now);
        self.admin.end(self.world.now);
        self.purger.end(self.world.now);
        self.rest();
        self.life.close(self.world.now);
    }

    /// Starts again; the power may go while it does.
    fn begin(&mut self) {
        while self.random.below(4) == 0 {
            self.world.disk.cut_power(1 + self.random.below(30));
            if self.world.start().is_ok_and(|life| life.damages.is_empty()) && self.world.disk.is_powered() {
                break;
            }
            self.world.disk.crash();
            self.ended(End::Power);
        }
        self.world.disk.kill();
        self.life = self.world.start().expect("a healthy disk");
        assert_eq!(self.life.damages, [""; 0], "a crash is not damage");
        self.faults = Faults::default();
        self.connect_all();
        self.fleeting_exists = self.fleeting_is_there();
        if self.fleeting_exists {
            // Its binding may not have survived.
            plan_of(FLEETING).into_iter().for_each(|plan| self.declare(plan));
        }
    }

    fn fleeting_is_there(&mut self) -> bool {
        let request = self.define(Definition::InspectQueue { name: FLEETING.into() });
        let mut events = VecDeque::new();
        self.admin.take_events(self.world.now, &mut events);
        events.iter().any(|event| matches!(event, Event::Reply { request: of, result: Ok(_) } if *of == request))
    }
}
