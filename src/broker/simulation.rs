//! The whole of what keeps messages, in one thread and from one seed: the real core over real journals on a simulated disk, wired by
//! the real partitions, housekeeping and reading. The seed decides who moves next, when the power goes, and what clients do.
//!
//! `CROSSDOCK_SEEDS` is how many histories to play, `CROSSDOCK_SEED` the first; a failing seed is printed and fails again.

mod damage;
mod history;
mod streams;
mod truth;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use history::History;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Plays a history for every seed, and names the one that failed. Gives the sum of what the histories gave.
fn for_each_seed(count_default: u64, play: impl Fn(u64) -> u64) -> u64 {
    let first = number_from("CROSSDOCK_SEED").unwrap_or(0);
    let count = number_from("CROSSDOCK_SEEDS").unwrap_or(count_default);
    let play_named = |seed| {
        catch_unwind(AssertUnwindSafe(|| play(seed))).unwrap_or_else(|panic| {
            eprintln!("failing seed: {seed} (again with CROSSDOCK_SEED={seed} CROSSDOCK_SEEDS=1)");
            resume_unwind(panic);
        })
    };
    (first..first + count).map(play_named).sum()
}

#[test]
fn damage_costs_what_it_hits_and_nothing_else() {
    for_each_seed(200, |seed| {
        History::new(seed).play_damage();
        1
    });
}

#[test]
fn what_was_confirmed_survives_everything() {
    let power_cuts = for_each_seed(2_000, |seed| History::new(seed).play());
    eprintln!("{power_cuts} power cuts survived");
}
