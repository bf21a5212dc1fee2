//! Power cuts below the real program: R-1's promises on a disk that forgets what was not synced.
//!
//! `CROSSDOCK_CUTS` says how many lives end with one, `CROSSDOCK_SEED` which. The same seed cuts after the same times and by the same
//! dice; what the processes had done by then differs.

use std::time::Duration;

use crossdock_common::random::Random;

use crate::support::forgetful_disk::{ForgetfulDisk, Tally};
use crate::support::{Broker, load, pause};

/// Segments as small as can be: they are finished and recycled in most lives.
const SETTINGS: [&str; 3] =
    ["log.level=\"warn\"", "store.segment_bytes=\"1MiB\"", "limits.message_bytes_max=\"256KiB\""];
/// Longest time until a cut: longer than from one look for space to give back to the next, so that snapshots are cut off too.
const LIFE_MS_MAX: u64 = 1_200;
/// One cut in so many is followed by another one while the broker starts.
const CUT_AGAIN_ONE_IN: u64 = 4;
/// Longest time from the start to the second cut.
const START_MS_MAX: u64 = 40;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}")))
}

/// A broker on a disk that forgets, and the power that both depend on.
struct Power {
    random: Random,
    disk: ForgetfulDisk,
    cuts: u64,
    tally: Tally,
}

impl Power {
    fn on(seed: u64) -> Option<(Self, Broker)> {
        let disk = ForgetfulDisk::mount()?;
        let broker = Broker::start_in(&disk.folder().join("data"), &SETTINGS);
        Some((Self { random: Random::from_seed(seed), disk, cuts: 0, tally: Tally::default() }, broker))
    }

    fn cut(&mut self, broker: &mut Broker) {
        // What the broker asks of the disk in the moment before it is killed fails, so it cannot confirm it.
        self.disk.switch_off();
        broker.kill();
        self.tally += self.disk.switch_on(&mut self.random);
        self.cuts += 1;
    }

    fn cut_and_restart(&mut self, broker: &mut Broker) {
        self.cut(broker);
        while self.random.below(CUT_AGAIN_ONE_IN) == 0 {
            broker.begin_restart();
            pause(Duration::from_millis(self.random.below(START_MS_MAX)));
            self.cut(broker);
        }
        broker.restart();
    }
}

#[test]
fn power_cuts_lose_nothing_that_was_confirmed() {
    let (lives, seed) = (number("CROSSDOCK_CUTS", 20), number("CROSSDOCK_SEED", 1));
    println!("CROSSDOCK_SEED={seed} CROSSDOCK_CUTS={lives}");
    let Some((mut power, mut broker)) = Power::on(seed) else { return };
    let mut random = Random::from_seed(seed);
    let life = || Duration::from_millis(20 + random.below(LIFE_MS_MAX));
    let confirmed = load::publish_through(&mut broker, lives, life, |broker| power.cut_and_restart(broker));
    println!("{} power cuts, {confirmed} messages confirmed; what was not synced: {:?}", power.cuts, power.tally);
    assert!(power.tally.writes_dropped > 0 && power.tally.writes_torn > 0, "the cuts took nothing: {:?}", power.tally);
}

#[test]
fn what_a_purge_took_does_not_come_back_after_power_cuts() {
    let (lives, seed) = (number("CROSSDOCK_CUTS", 20), number("CROSSDOCK_SEED", 1));
    println!("CROSSDOCK_SEED={seed} CROSSDOCK_CUTS={lives}");
    let Some((mut power, mut broker)) = Power::on(seed) else { return };
    load::purge_through(&mut broker, lives, |broker| power.cut_and_restart(broker));
}
