//! `kill -9` under load from four protocols: nothing that was confirmed is lost, nothing appears that was not sent, and each
//! publisher's messages keep their order. What was purged before does not come back.

use std::time::Duration;

use crossdock_common::random::Random;

use crate::support::{Broker, load};

fn kill_9(broker: &mut Broker) {
    broker.kill();
    broker.restart();
}

#[test]
fn kill_9_rounds_lose_nothing_that_was_confirmed() {
    let rounds: u64 = std::env::var("CROSSDOCK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut broker = Broker::start(&["log.level=\"warn\""]);
    let mut random = Random::from_seed(9);
    let life = || Duration::from_millis(20 + random.below(150));
    load::publish_through(&mut broker, rounds, life, kill_9);
}

#[test]
fn what_a_purge_took_does_not_come_back_after_kill_9() {
    let mut broker = Broker::start(&["log.level=\"warn\""]);
    load::purge_through(&mut broker, 20, kill_9);
}
