//! Load for a broker that dies under it: publishers of four protocols, each with a queue and an account of what it sent and what was
//! confirmed; and purges.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Broker, pause};
use crate::wire::amqp::{self, Amqp};
use crate::wire::http::Http;
use crate::wire::mqtt::{self, Mqtt};
use crate::wire::stomp::{self, Stomp};

/// Messages that a publisher has sent and not yet heard of.
const WINDOW: u64 = 16;
/// Messages have up to this size.
const BODY_BYTES_MAX: u64 = 2048;

/// So many lives under load, each as long as `life` says and ended by `crash`, which also starts the next. Nothing that was confirmed is lost, nothing appears
/// that was not sent, and each publisher's messages keep their order. Gives the number of confirmed messages.
pub fn publish_through(
    broker: &mut Broker,
    lives: u64,
    mut life: impl FnMut() -> Duration,
    mut crash: impl FnMut(&mut Broker),
) -> usize {
    let mut confirmed = 0;
    for number in 0..lives {
        let round = begin(broker, number);
        pause(life());
        crash(broker);
        confirmed += check(broker, round);
    }
    assert!(confirmed > lives as usize * 10, "only {confirmed} messages were confirmed in {lives} lives");
    confirmed
}

/// So many lives, each ended by `crash` right after the answer to a purge: what it took does not come back.
pub fn purge_through(broker: &mut Broker, lives: u64, mut crash: impl FnMut(&mut Broker)) {
    const COUNT: u64 = 50;
    for life in 0..lives {
        let queue = format!("purged-{life}");
        fill(broker, &queue, COUNT);
        if life % 2 == 0 {
            let mut client = Amqp::open(broker.port("amqp")).expect("connects");
            assert_eq!(client.purge(&queue).expect("purges"), COUNT as u32);
        } else {
            let mut client = Http::open(broker.port("aws")).expect("connects");
            let body = format!(r#"{{"QueueUrl":"http://localhost/000000000000/{queue}"}}"#);
            assert_eq!(client.sqs("PurgeQueue", &body).expect("answers").0, 200);
        }
        crash(broker);
        let mut client = Amqp::open(broker.port("amqp")).expect("connects");
        assert_eq!(client.get(&queue).expect("gets"), None, "life {life}");
    }
}

/// What one publisher knows.
#[derive(Default)]
struct Account {
    sent: AtomicU64,
    confirmed: Mutex<BTreeSet<u64>>,
}

impl Account {
    fn send(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn confirm(&self, number: u64) {
        self.confirmed.lock().expect("not poisoned").insert(number);
    }

    fn confirm_through(&self, number: u64) {
        self.confirmed.lock().expect("not poisoned").extend(1..=number);
    }
}

/// What message `number` says: itself, in one sector or in several.
fn body(number: u64) -> String {
    let width = (number * 997 % BODY_BYTES_MAX) as usize;
    format!("{number:0width$}")
}

fn number_of(text: &str) -> u64 {
    let number = text.parse().expect("a number we sent");
    assert!(text == body(number), "damaged: {text}");
    number
}

type Publisher = fn(u16, &str, &Account) -> std::io::Result<()>;

const PUBLISHERS: [(&str, &str, Publisher); 4] = [
    ("amqp", "amqp", publish_amqp),
    ("mqtt", "mqtt", publish_mqtt),
    ("stomp", "stomp", publish_stomp),
    ("aws", "aws", publish_sqs),
];

fn publish_amqp(port: u16, queue: &str, account: &Account) -> std::io::Result<()> {
    let mut client = Amqp::open(port)?;
    client.select_confirms()?;
    let mut confirmed = 0;
    loop {
        while account.sent.load(Ordering::SeqCst) - confirmed < WINDOW {
            let number = account.send();
            client.send(&amqp::publish(queue, body(number).as_bytes()))?;
        }
        match client.confirm()? {
            (tag, true) => account.confirm_through(tag),
            (tag, false) => account.confirm(tag),
        }
        confirmed += 1;
        let set = account.confirmed.lock().expect("not poisoned");
        confirmed = confirmed.max(set.len() as u64);
    }
}

fn publish_mqtt(port: u16, queue: &str, account: &Account) -> std::io::Result<()> {
    let mut client = Mqtt::open(port, queue)?;
    let topic = queue.replace('.', "/");
    let mut confirmed = 0;
    loop {
        while account.sent.load(Ordering::SeqCst) - confirmed < WINDOW {
            let number = account.send();
            let packet_id = u16::try_from(number).expect("a short round");
            client.send(&mqtt::publish(&topic, packet_id, body(number).as_bytes()))?;
        }
        account.confirm(u64::from(client.puback()?));
        confirmed += 1;
    }
}

fn publish_stomp(port: u16, queue: &str, account: &Account) -> std::io::Result<()> {
    let mut client = Stomp::open(port)?;
    let mut confirmed = 0;
    loop {
        while account.sent.load(Ordering::SeqCst) - confirmed < WINDOW {
            let number = account.send();
            client.send(&stomp::send(queue, &number.to_string(), &body(number)))?;
        }
        account.confirm(client.receipt()?.parse().expect("our own number"));
        confirmed += 1;
    }
}

fn publish_sqs(port: u16, queue: &str, account: &Account) -> std::io::Result<()> {
    let mut client = Http::open(port)?;
    loop {
        let number = account.send();
        let body = body(number);
        let request = format!(r#"{{"QueueUrl":"http://localhost/000000000000/{queue}","MessageBody":"{body}"}}"#);
        let (status, text) = client.sqs("SendMessage", &request)?;
        assert_eq!(status, 200, "{text}");
        account.confirm(number);
    }
}

/// What is sent in one life of the broker.
struct Round {
    accounts: Vec<(String, Arc<Account>)>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the publishers of a round, each with a queue of its own.
fn begin(broker: &Broker, number: u64) -> Round {
    let mut admin = Amqp::open(broker.port("amqp")).expect("connects");
    let mut round = Round { accounts: Vec::new(), threads: Vec::new() };
    for (name, listener, publisher) in PUBLISHERS {
        let queue = format!("round-{name}-{number}");
        admin.declare(&queue).expect("declares");
        admin.bind("amq.topic", &queue, &queue).expect("binds");
        let account: Arc<Account> = Arc::default();
        let port = broker.port(listener);
        let (of_thread, its_queue) = (account.clone(), queue.clone());
        round.threads.push(std::thread::spawn(move || {
            // It ends with the broker.
            let _ = publisher(port, &its_queue, &of_thread);
        }));
        round.accounts.push((queue, account));
    }
    round
}

/// What is in the queues after the restart, against what the publishers know.
fn check(broker: &Broker, round: Round) -> usize {
    round.threads.into_iter().for_each(|thread| thread.join().expect("publishers do not panic"));
    let mut admin = Amqp::open(broker.port("amqp")).expect("connects");
    let mut total = 0;
    for (queue, account) in round.accounts {
        let mut found = Vec::new();
        while let Some(body) = admin.get(&queue).expect("gets") {
            found.push(number_of(&String::from_utf8_lossy(&body)));
        }
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{queue}: out of order: {found:?}");
        let sent = account.sent.load(Ordering::SeqCst);
        assert!(found.iter().all(|number| (1..=sent).contains(number)), "{queue}: never sent: {found:?}");
        let confirmed = account.confirmed.lock().expect("not poisoned").clone();
        let found: BTreeSet<u64> = found.into_iter().collect();
        let lost: Vec<_> = confirmed.difference(&found).collect();
        assert!(lost.is_empty(), "{queue}: confirmed and lost: {lost:?}");
        total += confirmed.len();
        admin.delete(&queue).expect("deletes");
    }
    total
}

/// Publishes so many messages, all confirmed.
fn fill(broker: &Broker, queue: &str, count: u64) {
    let mut publisher = Amqp::open(broker.port("amqp")).expect("connects");
    publisher.declare(queue).expect("declares");
    publisher.select_confirms().expect("selects");
    (0..count).for_each(|_| publisher.send(&amqp::publish(queue, b"purged")).expect("sends"));
    while publisher.confirm().expect("confirms").0 < count {}
}
