//! Which messages are confirmed.

use std::collections::BTreeSet;

/// What a publisher has heard. Classic queues of RabbitMQ confirm out of order.
#[derive(Default)]
pub struct Confirms {
    /// All up to here.
    all_to: u64,
    beyond: BTreeSet<u64>,
}

impl Confirms {
    /// This message, or all up to it.
    pub fn add(&mut self, tag: u64, multiple: bool) {
        if multiple {
            self.all_to = self.all_to.max(tag);
            self.beyond = self.beyond.split_off(&(tag + 1));
        } else if tag == self.all_to + 1 {
            self.all_to = tag;
        } else {
            self.beyond.insert(tag);
        }
        while self.beyond.remove(&(self.all_to + 1)) {
            self.all_to += 1;
        }
    }

    /// One more, whichever it is: an MQTT broker confirms in order.
    pub fn add_next(&mut self) {
        self.all_to += 1;
    }

    pub fn count(&self) -> u64 {
        self.all_to + self.beyond.len() as u64
    }
}
