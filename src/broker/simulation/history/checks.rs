//! What must hold: everything is fetched and compared, after crashes and after damage.

use std::collections::BTreeSet;

use crossdock_common::Lane;
use crossdock_common::command::{Fetch, Lease};

use super::super::damage::Damaged;
use super::super::truth::{FIFO, Key, PLANS, Plan};
use super::History;

impl History {
    /// Compares all there is with what should be.
    pub(super) fn check(&mut self) {
        let found = self.find_all();
        assert_eq!(self.life.lost_reads, 0, "a read failed");
        self.truth.check(&found);
        let read = self.find_in_streams();
        assert_eq!(self.life.lost_reads, 0, "a read failed");
        let now = self.world.now;
        self.streams.iter_mut().zip(&read).for_each(|(stream, read)| stream.check(read, now));
        self.reconnect();
        self.rest();
    }

    /// Fetches all there is.
    pub(super) fn find_all(&mut self) -> Vec<Key> {
        self.reconnect();
        self.rest();
        // What is leased or delayed shows itself; what may expire does.
        self.advance_ms(1_500);
        self.rest();
        self.found = Some(Vec::new());
        for plan in PLANS.iter().filter(|plan| self.exists(plan)).collect::<Vec<_>>() {
            self.fetch_all(plan);
        }
        self.found.take().unwrap_or_default()
    }

    /// Without an orderly end, damage in the last write looks like one that was torn.
    pub(super) fn check_losses(&self, lost: &[Key], how: &Damaged, is_orderly: bool) {
        let is_told = !self.life.damages.is_empty() || self.life.lost_reads > 0;
        assert!(lost.is_empty() || is_told || !is_orderly, "{how:?}: {lost:?} are lost without a word");
        let numbers: BTreeSet<u64> = lost.iter().map(|key| key.1).collect();
        let queues: BTreeSet<&str> = lost.iter().map(|key| key.0).collect();
        // Of an encrypted file a bit costs its block.
        let is_one = numbers.len() <= 1 || queues.len() <= 1 || self.world.is_encrypted();
        assert!(is_one || how.is_truncated || !is_orderly, "{how:?} costs {lost:?}");
    }

    fn fetch_all(&mut self, plan: &'static Plan) {
        loop {
            let before = self.found.as_ref().map_or(0, Vec::len);
            self.fetch_with(Fetch {
                lane: Lane(0),
                queue: plan.name.into(),
                count_max: u32::MAX,
                // Whoever holds messages of a group does not see the rest of it.
                presettled: plan.name == FIFO,
                lease: Lease::Connection,
                wait_ms: 0,
            });
            self.rest();
            assert!(self.fetches.is_empty(), "a fetch of {} is not answered", plan.name);
            if self.found.as_ref().map_or(0, Vec::len) == before {
                return;
            }
        }
    }
}
