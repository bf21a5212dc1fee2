//! MQTT QoS 2 while the broker and the clients on both sides are killed: every message is everywhere exactly once, in order.
//!
//! The clients do as MQTT tells them and keep what it tells them to keep. What is killed is a connection; the memory behind it
//! stands for a client's disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Error, Result};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crossdock_common::random::Random;

use crate::support::{Broker, PATIENCE, pause, wait_for};
use crate::wire::amqp::Amqp;
use crate::wire::mqtt::{self, Mqtt};

/// Messages that a publisher has sent and that are not completed.
const WINDOW: usize = 12;
/// Few packet ids, so that each is used again and again.
const PACKET_IDS: u16 = 20;
/// Longest time between two kills. One of four follows the one before it at once.
const LIFE_MS_MAX: u64 = 40;
const AT_ONCE_MS_MAX: u64 = 3;
/// Durable queues that get every message, beside the subscribers' sessions. There are more of them than shards.
const QUEUES: [&str; 5] = ["once.a", "once.b", "once.c", "once.d", "once.e"];
/// First bytes of packets.
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// Where the clients connect, and what kills them.
#[derive(Default)]
struct Stage {
    port: AtomicU16,
    /// Publishers send nothing new.
    last_act: AtomicBool,
    over: AtomicBool,
    /// By client.
    connections: Mutex<BTreeMap<String, TcpStream>>,
}

impl Stage {
    /// Connects again and again, and lets the client go on with its session, until it says that it is done.
    fn play(&self, client_id: &str, is_v5: bool, mut go_on: impl FnMut(&mut Mqtt) -> Result<()>) {
        let mut was_there = false;
        let mut lively = Instant::now();
        while !self.over.load(Ordering::SeqCst) {
            let opened = Mqtt::open_session_of(self.port.load(Ordering::SeqCst), client_id, is_v5);
            let result = opened.and_then(|(mut client, present)| {
                assert!(present || !was_there, "{client_id}: the session is lost");
                was_there = true;
                lively = Instant::now();
                lock(&self.connections).insert(client_id.to_owned(), client.handle()?);
                go_on(&mut client)
            });
            if result.is_ok() {
                return;
            }
            assert!(lively.elapsed() < PATIENCE, "{client_id} cannot connect: {result:?}");
            pause(Duration::from_millis(2));
        }
    }

    fn kill_client(&self, client_id: &str) {
        if let Some(connection) = lock(&self.connections).remove(client_id) {
            // It may be gone already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A message that is not completed.
struct Outgoing {
    packet_id: u16,
    number: u64,
    received: bool,
}

/// What a publisher keeps.
#[derive(Default)]
struct Publisher {
    topic: String,
    outgoing: VecDeque<Outgoing>,
    last: u64,
    last_packet_id: u16,
}

impl Publisher {
    fn go_on(&mut self, client: &mut Mqtt, stage: &Stage) -> Result<()> {
        for Outgoing { packet_id, number, received } in &self.outgoing {
            match received {
                true => client.acknowledge(PUBREL, *packet_id)?,
                false => client.publish_once(&self.topic, (*packet_id, true), self.payload(*number).as_bytes())?,
            }
        }
        loop {
            while self.outgoing.len() < WINDOW && !stage.last_act.load(Ordering::SeqCst) {
                self.send_new(client)?;
            }
            if self.outgoing.is_empty() {
                return Ok(());
            }
            self.hear(client)?;
        }
    }

    fn payload(&self, number: u64) -> String {
        format!("{} {number}", self.topic)
    }

    fn send_new(&mut self, client: &mut Mqtt) -> Result<()> {
        loop {
            self.last_packet_id = self.last_packet_id % PACKET_IDS + 1;
            if self.outgoing.iter().all(|outgoing| outgoing.packet_id != self.last_packet_id) {
                break;
            }
        }
        let (packet_id, number) = (self.last_packet_id, self.last + 1);
        self.last = number;
        self.outgoing.push_back(Outgoing { packet_id, number, received: false });
        client.publish_once(&self.topic, (packet_id, false), self.payload(number).as_bytes())
    }

    fn hear(&mut self, client: &mut Mqtt) -> Result<()> {
        let (first, body) = client.packet()?;
        let packet_id = mqtt::packet_id(&body);
        match first {
            PUBREC => {
                assert!(body.get(2).is_none_or(|reason| *reason < 0x80), "refused: {body:?}");
                let of_id = self.outgoing.iter_mut().find(|outgoing| outgoing.packet_id == packet_id);
                of_id.expect("PUBREC for what was sent").received = true;
                client.acknowledge(PUBREL, packet_id)
            }
            PUBCOMP => {
                self.outgoing.retain(|outgoing| outgoing.packet_id != packet_id);
                Ok(())
            }
            _ => Err(Error::other(format!("{first:#x} {body:?}"))),
        }
    }
}

/// What a subscriber keeps.
#[derive(Default)]
struct Subscriber {
    /// Packet ids between PUBLISH and PUBREL.
    received: BTreeSet<u16>,
    numbers: Numbers,
}

impl Subscriber {
    fn hear(&mut self, client: &mut Mqtt, (first, body): (u8, &[u8])) -> Result<()> {
        match first & 0xf0 {
            0x30 => {
                let (packet_id, payload) = client.parse_publish(body);
                if self.received.insert(packet_id) {
                    count(&mut self.numbers, &payload);
                }
                client.acknowledge(PUBREC, packet_id)
            }
            0x60 => {
                let packet_id = mqtt::packet_id(body);
                self.received.remove(&packet_id);
                client.acknowledge(PUBCOMP, packet_id)
            }
            _ => Err(Error::other(format!("{first:#x} {body:?}"))),
        }
    }
}

/// Numbers in the order of their coming, by topic.
type Numbers = BTreeMap<String, Vec<u64>>;

fn count(numbers: &mut Numbers, payload: &[u8]) {
    let text = String::from_utf8_lossy(payload);
    let (topic, number) = text.split_once(' ').expect("what we sent");
    numbers.entry(topic.to_owned()).or_default().push(number.parse().expect("a number"));
}

/// Its topic, or session, and whether it speaks MQTT 5.
const PUBLISHERS: [(&str, bool); 2] = [("once/from-3", false), ("once/from-5", true)];
const SUBSCRIBERS: [(&str, bool); 2] = [("subscriber-3", false), ("subscriber-5", true)];

fn prepare(broker: &Broker) {
    let mut admin = Amqp::open(broker.port("amqp")).expect("connects");
    for queue in QUEUES {
        admin.declare(queue).expect("declares");
        admin.bind("amq.topic", queue, "once.#").expect("binds");
    }
    for (name, is_v5) in SUBSCRIBERS {
        let (mut client, _) = Mqtt::open_session_of(broker.port("mqtt"), name, is_v5).expect("connects");
        client.subscribe("once/#", 2).expect("subscribes");
    }
}

/// Few ends are orderly: then snapshots speak of what is under way.
fn end(broker: &mut Broker, is_orderly: bool) {
    if is_orderly {
        broker.terminate();
        broker.wait();
    } else {
        broker.kill();
    }
}

/// Kills so often, the broker or clients. Gives how often the broker.
fn kill(broker: &mut Broker, stage: &Stage, kills: u64, random: &mut Random) -> u64 {
    let clients: Vec<&str> = PUBLISHERS.iter().chain(&SUBSCRIBERS).map(|(name, _)| *name).collect();
    let mut of_broker = 0;
    for _ in 0..kills {
        let life_ms = if random.below(4) == 0 { AT_ONCE_MS_MAX } else { LIFE_MS_MAX };
        pause(Duration::from_millis(random.below(life_ms + 1)));
        if random.below(2) == 0 {
            end(broker, random.below(8) == 0);
            broker.restart();
            stage.port.store(broker.port("mqtt"), Ordering::SeqCst);
            of_broker += 1;
        } else {
            stage.kill_client(clients[random.below(clients.len() as u64) as usize]);
        }
    }
    of_broker
}

/// Numbers that are missing, that came again, and that came too early.
fn faults(found: &[u64], last: u64) -> (usize, usize, usize) {
    let mut seen = BTreeSet::new();
    let first_times: Vec<u64> = found.iter().copied().filter(|number| seen.insert(*number)).collect();
    let early = first_times.windows(2).filter(|pair| pair[0] > pair[1]).count();
    (last as usize - seen.len(), found.len() - seen.len(), early)
}

fn drain(broker: &Broker, queue: &str) -> Numbers {
    let mut admin = Amqp::open(broker.port("amqp")).expect("connects");
    let mut numbers = Numbers::new();
    while let Some(payload) = admin.get(queue).expect("gets") {
        count(&mut numbers, &payload);
    }
    numbers
}

#[test]
fn mq_13_kills_on_both_sides_neither_lose_nor_double_a_qos_2_message() {
    let kills: u64 = std::env::var("CROSSDOCK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut broker = Broker::start(&["log.level=\"warn\"", "core.shards=3"]);
    prepare(&broker);
    let stage = Stage::default();
    stage.port.store(broker.port("mqtt"), Ordering::SeqCst);
    let subscribers = SUBSCRIBERS.map(|_| Mutex::new(Subscriber::default()));
    let (lasts, of_broker) = thread::scope(|scope| {
        for ((name, is_v5), subscriber) in SUBSCRIBERS.into_iter().zip(&subscribers) {
            let stage = &stage;
            scope.spawn(move || {
                stage.play(name, is_v5, |client| {
                    loop {
                        let (first, body) = client.packet()?;
                        lock(subscriber).hear(client, (first, &body))?;
                    }
                });
            });
        }
        let publishers = PUBLISHERS.map(|(topic, is_v5)| {
            let stage = &stage;
            scope.spawn(move || {
                let mut publisher = Publisher { topic: topic.to_owned(), ..Publisher::default() };
                stage.play(topic, is_v5, |client| publisher.go_on(client, stage));
                publisher.last
            })
        });
        let of_broker = kill(&mut broker, &stage, kills, &mut Random::from_seed(2));
        stage.last_act.store(true, Ordering::SeqCst);
        let lasts = publishers.map(|thread| thread.join().expect("publishers do not panic"));
        for (subscriber, _) in subscribers.iter().zip(0..) {
            let has =
                |topic: &str, last: u64| lock(subscriber).numbers.get(topic).is_some_and(|all| all.contains(&last));
            wait_for("the last messages", || {
                PUBLISHERS.iter().zip(lasts).all(|((topic, _), last)| has(topic, last)).then_some(())
            });
        }
        stage.over.store(true, Ordering::SeqCst);
        SUBSCRIBERS.iter().for_each(|(name, _)| stage.kill_client(name));
        (lasts, of_broker)
    });
    let everywhere = QUEUES.map(|queue| (queue, drain(&broker, queue))).into_iter();
    let of_sessions = SUBSCRIBERS.iter().zip(subscribers).map(|((name, _), subscriber)| {
        (*name, subscriber.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).numbers)
    });
    let mut wrong = Vec::new();
    for (place, numbers) in everywhere.chain(of_sessions) {
        for ((topic, _), last) in PUBLISHERS.iter().zip(lasts) {
            let faults = faults(numbers.get(*topic).map_or(&[], |numbers| &numbers[..]), last);
            wrong.extend((faults != (0, 0, 0)).then_some((place, *topic, faults)));
        }
    }
    eprintln!("{kills} kills, {of_broker} of the broker; {lasts:?} messages");
    assert!(wrong.is_empty(), "(lost, doubled, out of order) of {lasts:?} after {kills} kills: {wrong:?}");
    assert!(lasts.iter().all(|last| *last > kills), "too little happened: {lasts:?}");
}
