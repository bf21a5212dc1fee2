//! Seeded histories: whatever a client says in whatever order, every receipt comes exactly once, or an ERROR ends it.

use crossdock_common::Limits;
use crossdock_common::random::Random;

use super::support::*;

const DESTINATIONS: [&str; 8] =
    ["/queue/a", "/queue/b", "/topic/t", "/topic/#", "/exchange/e/k", "/amq/queue/q", "/reply-queue/r", "/queue/a"];

#[derive(Default)]
struct Script {
    ids: Vec<String>,
    subscriptions: Vec<u64>,
    in_transaction: bool,
    receipts: u64,
}

impl Script {
    /// A frame that is right, but for one in thirty.
    fn frame(&mut self, random: &mut Random) -> String {
        self.receipts += 1;
        let wrong = random.below(30) == 0;
        let below = |random: &mut Random, count: usize| random.below(count as u64) as usize;
        let destination = DESTINATIONS[below(random, DESTINATIONS.len())];
        let durable = ["", "durable:true\n"][below(random, 2)];
        let transaction = if self.in_transaction != wrong { ["", "transaction:t\n"][below(random, 2)] } else { "" };
        let head = match random.below(9) {
            0 | 1 if wrong || self.subscriptions.len() < 12 => {
                let id = if wrong { 1 } else { self.receipts };
                self.subscriptions.push(id);
                let mode = ["client", "client-individual", "auto"][below(random, 3)];
                format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nack:{mode}\n{durable}")
            }
            2 if !self.subscriptions.is_empty() => {
                let id = self.subscriptions.swap_remove(below(random, self.subscriptions.len()));
                format!("UNSUBSCRIBE\nid:{id}\n{durable}")
            }
            3 | 4 if !self.ids.is_empty() => {
                // The newest first would settle older ones of a cumulative subscription.
                let id = self.ids.remove(if wrong { below(random, self.ids.len()) } else { 0 });
                let verb = ["ACK", "NACK"][below(random, 2)];
                format!("{verb}\nid:{id}\n{transaction}")
            }
            5 => {
                self.in_transaction = !self.in_transaction;
                let end = ["COMMIT", "ABORT"][below(random, 2)];
                format!("{}\ntransaction:t\n", if self.in_transaction != wrong { "BEGIN" } else { end })
            }
            6 => format!("SEND\ndestination:{destination}\nreply-to:/temp-queue/{}\n", random.below(5)),
            _ => format!("SEND\ndestination:{destination}\n{transaction}persistent:true\n"),
        };
        format!("{head}receipt:{}\n\nbody\0", self.receipts)
    }
}

#[test]
fn every_receipt_comes_once_or_an_error_ends_it() {
    let (mut errors, mut longest) = (0, 0);
    for seed in 0..500 {
        let mut wire = Wire::limited(Limits { consumers_max: 20, unsettled_max: 50, ..Limits::default() });
        let (mut script, mut random) = (Script::default(), Random::from_seed(seed));
        while wire.close.is_none() && script.receipts < 60 {
            let frame = script.frame(&mut random);
            let read = wire.send(&frame);
            if wire.close.is_some() {
                assert!(read.contains(&format!("receipt-id:{}\n", script.receipts)), "{frame}{read}");
                assert!(read.starts_with("ERROR\n"), "{frame}{read}");
                errors += 1;
                break;
            }
            assert_eq!(read, receipt(&script.receipts.to_string()), "{frame}");
            let consumer = 1 + random.below(10);
            let read = wire.deliver(consumer, script.receipts, vec![message("", "q", "a:1\n", "x")]);
            script.ids.extend(read.lines().filter_map(|line| line.strip_prefix("ack:")).map(str::to_owned));
        }
        longest = longest.max(script.receipts);
    }
    assert!(
        errors > 50 && errors < 500 && longest == 60,
        "the scripts are worth something: {errors} errors, {longest} frames"
    );
}
