//! `kill -9` under an SQS FIFO queue: producers repeat what was not answered, consumers take what is there, and every message is
//! there once, in the order of its group.

use std::collections::BTreeMap;
use std::io::Result;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crossdock_common::random::Random;
use serde_json::{Value, json};

use crate::support::{Broker, pause, wait_for};
use crate::wire::http::Http;

const GROUPS: [&str; 4] = ["a", "b", "c", "d"];
const CONSUMERS: usize = 3;
/// Producers do not run away from consumers, which have a group for one at a time.
const BACKLOG_MAX: u64 = 50;
/// Longest time until the kill.
const LIFE_MS_MAX: u64 = 250;

/// Everything that producers and consumers know together.
#[derive(Default)]
struct Ledger {
    port: u16,
    /// Grows before and after every kill: what was read before and is noted after did not happen.
    life: u64,
    groups: BTreeMap<String, Group>,
    ending: bool,
}

/// What is known of a group. Numbers start at 1.
#[derive(Default)]
struct Group {
    sent: u64,
    /// Highest number whose deletion was answered.
    deleted: u64,
    /// The last number whose deletion was asked for.
    leaving: Option<u64>,
    /// What should come next, unless a kill brings something back.
    next: u64,
    /// The sequence number of every message, as its sender and its receivers were told.
    sequence_numbers: BTreeMap<u64, u64>,
}

impl Group {
    fn learn(&mut self, number: u64, sequence_number: &Value) {
        let told = sequence_number.as_str().and_then(|text| text.parse().ok()).expect("a number");
        let known = *self.sequence_numbers.entry(number).or_insert(told);
        assert_eq!(known, told, "message {number} is there twice");
    }

    fn received(&mut self, name: &str, number: u64) {
        if self.leaving == Some(number) {
            self.leaving = None;
        } else if self.leaving == Some(self.deleted + 1) && number == self.deleted + 2 {
            // It was deleted, though nobody heard of it.
            self.deleted += 1;
        }
        let is_legal = number == self.next || number == self.deleted + 1;
        assert!(is_legal, "{name}{number} came, {} was next, {} is deleted", self.next, self.deleted);
        self.next = number + 1;
    }
}

type Shared = Arc<Mutex<Ledger>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Ledger> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Works until it is told to end, with a new connection whenever one breaks.
fn worker(shared: &Shared, mut work: impl FnMut(&mut Http, &Shared) -> Result<()> + Send + 'static) -> JoinHandle<()> {
    let shared = shared.clone();
    std::thread::spawn(move || {
        while !lock(&shared).ending {
            let port = lock(&shared).port;
            let Ok(mut client) = Http::open(port) else {
                pause(Duration::from_millis(2));
                continue;
            };
            while !lock(&shared).ending && work(&mut client, &shared).is_ok() {}
        }
    })
}

fn call(client: &mut Http, action: &str, mut body: Value) -> Result<Value> {
    body["QueueUrl"] = json!("http://localhost/000000000000/kill.fifo");
    let (status, text) = client.sqs(action, &body.to_string())?;
    assert!(status == 200, "{action}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// Sends the next number of a group; the same one again if it does not hear of it.
fn produce(client: &mut Http, shared: &Shared, group: &str) -> Result<()> {
    let Group { sent, deleted, .. } = lock(shared).groups[group];
    if sent > deleted + BACKLOG_MAX {
        pause(Duration::from_millis(1));
        return Ok(());
    }
    let number = sent + 1;
    let body = format!("{group}{number}");
    let sent = call(
        client,
        "SendMessage",
        json!({"MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": body}),
    )?;
    let mut ledger = lock(shared);
    let group = ledger.groups.get_mut(group).expect("known");
    group.sent = number;
    group.learn(number, &sent["SequenceNumber"]);
    Ok(())
}

/// Receives some messages and deletes them, one after the other.
fn consume(client: &mut Http, shared: &Shared) -> Result<()> {
    let life = lock(shared).life;
    let wanted =
        json!({"MaxNumberOfMessages": 3, "WaitTimeSeconds": 1, "AttributeNames": ["All"], "VisibilityTimeout": 600});
    let received = call(client, "ReceiveMessage", wanted)?;
    let messages = received["Messages"].as_array().cloned().unwrap_or_default();
    for message in &messages {
        let Some((group, number)) = message["Body"].as_str().map(|body| body.split_at(1)) else { continue };
        let number: u64 = number.parse().expect("our own number");
        let mut ledger = lock(shared);
        if ledger.life != life {
            return Ok(());
        }
        let known = ledger.groups.get_mut(group).expect("our own group");
        known.learn(number, &message["Attributes"]["SequenceNumber"]);
        known.received(group, number);
    }
    for message in &messages {
        let (group, number) = message["Body"].as_str().expect("text").split_at(1);
        let number: u64 = number.parse().expect("our own number");
        {
            let mut ledger = lock(shared);
            if ledger.life != life {
                return Ok(());
            }
            ledger.groups.get_mut(group).expect("known").leaving = Some(number);
        }
        call(client, "DeleteMessage", json!({"ReceiptHandle": message["ReceiptHandle"]}))?;
        let mut ledger = lock(shared);
        let known = ledger.groups.get_mut(group).expect("known");
        known.deleted = known.deleted.max(number);
    }
    Ok(())
}

fn start(broker: &Broker) -> (Shared, Vec<JoinHandle<()>>) {
    let port = broker.port("aws");
    let attributes = json!({"FifoQueue": "true"});
    let body = json!({"QueueName": "kill.fifo", "Attributes": attributes}).to_string();
    let (status, text) = Http::open(port).and_then(|mut client| client.sqs("CreateQueue", &body)).expect("answers");
    assert_eq!(status, 200, "{text}");
    let groups = GROUPS.map(|name| (name.to_owned(), Group { next: 1, ..Group::default() }));
    let shared: Shared = Arc::new(Mutex::new(Ledger { port, groups: groups.into(), ..Ledger::default() }));
    let producers = GROUPS.map(|group| worker(&shared, move |client, shared| produce(client, shared, group)));
    let consumers = (0..CONSUMERS).map(|_| worker(&shared, consume));
    let workers = consumers.chain(producers).collect();
    (shared, workers)
}

#[test]
fn groups_keep_their_order_and_nothing_is_there_twice_over_kill_9() {
    let rounds: u64 = std::env::var("CROSSDOCK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let mut random = Random::from_seed(8);
    let mut broker = Broker::start(&["log.level=\"warn\""]);
    let (shared, workers) = start(&broker);
    for _ in 0..rounds {
        pause(Duration::from_millis(20 + random.below(LIFE_MS_MAX)));
        lock(&shared).life += 1;
        broker.kill();
        lock(&shared).life += 1;
        broker.restart();
        let port = broker.port("aws");
        lock(&shared).port = port;
    }
    // What producers have heard of arrives.
    let sent: Vec<u64> = lock(&shared).groups.values().map(|group| group.sent).collect();
    wait_for("everything to be deleted", || {
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker has found a fault");
        lock(&shared).groups.values().zip(&sent).all(|(group, sent)| group.deleted >= *sent).then_some(())
    });
    lock(&shared).ending = true;
    workers.into_iter().for_each(|worker| worker.join().expect("no faults"));
    let ledger = lock(&shared);
    for (name, group) in &ledger.groups {
        let numbers: Vec<_> = group.sequence_numbers.values().collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{name}: sequence numbers do not grow");
    }
    let total: u64 = ledger.groups.values().map(|group| group.deleted).sum();
    println!("{total} messages over {rounds} kills");
    assert!(total > rounds * 4, "only {total} messages in {rounds} rounds");
}
