//! Runs: what the core and the client see is the same as if each message had come by itself.

use bytes::Bytes;
use crossdock_common::command::{Outcome, Publish};
use crossdock_common::event::RunDelivery;
use crossdock_common::names::QueueId;
use crossdock_common::random::Random;
use crossdock_common::{Arrived, ConsumerId, Event, Name, Run, UnixMillis};

use super::support::{Core, Tester, connect_with, options, packet, publish, subscribe, text};
use crate::{ConnectionOptions, FORMAT};

/// A client of version 5 or 3.1.1 whose CONNECT has these properties.
fn client(level: u8, properties: &[u8], receive_maximum: u16) -> Tester {
    let options = ConnectionOptions { receive_maximum, ..options() };
    Tester::connected_with(options, Core::default(), &connect_with(level, 0b10, properties, &text("c")))
}

fn said(publish: &Publish) -> String {
    let Publish { confirm, message, retain, .. } = publish;
    let (key, body) = (&message.routing_key, &message.body);
    format!("{confirm:?} {key:?} {:?} {body:?} {} {:?} {retain}", message.properties, message.durable, message.ttl_ms)
}

/// Packets of somebody who says the same again and again, most of the time.
fn packets(random: &mut Random, level: u8) -> Vec<Vec<u8>> {
    let (mut topic, mut flags, mut section) = ("a/b", 0, &[][..]);
    let one = |number: u16| {
        if random.below(6) == 0 {
            topic = ["a/b", "a", "a/b/c"][random.below(3) as usize];
            flags = [0, 0b10, 0b1, 0b100, 0b10, 0b1010][random.below(6) as usize];
            section = [&[][..], b"\x02\0\0\0\x09", b"\x01\x01", b"\x26\0\x01k\0\x01v"][random.below(4) as usize];
        }
        let payload = vec![b'x'; [0, 1, 7, 100, 120, 3_000][random.below(6) as usize]];
        publish(flags, topic, number, (level == 5).then_some(section), &payload)
    };
    (1..60).map(one).collect()
}

#[test]
fn what_is_published_in_one_read_is_what_comes_packet_by_packet() {
    let mut runs = 0;
    for seed in 0..300 {
        let mut random = Random::from_seed(seed);
        let level = [4, 5][random.below(2) as usize];
        let receive_maximum = [1_000, 7, 60][random.below(3) as usize];
        let packets = packets(&mut random, level);
        let [mut together, mut single] = [(); 2].map(|()| client(level, &[], receive_maximum));
        let at_once = together.send(&packets.concat());
        let one_by_one: Vec<u8> = packets.iter().flat_map(|packet| single.send(packet)).collect();
        let published = |tester: &Tester| tester.published().into_iter().map(said).collect::<Vec<_>>();
        if together.close == single.close {
            assert_eq!(published(&together), published(&single), "seed {seed}");
            assert_eq!(at_once, one_by_one, "seed {seed}");
        }
        assert_eq!(single.core.runs, 0);
        runs += together.core.runs;
    }
    assert!(runs > 300, "{runs}");
}

#[test]
fn an_alias_that_changes_its_meaning_and_a_payload_that_is_no_text_are_seen() {
    let mut tester = client(5, &[], 1_000);
    let by_alias = publish(0, "", 0, Some(b"\x23\0\x01"), b"x").repeat(5);
    let named = |topic| publish(0, topic, 0, Some(b"\x23\0\x01"), b"x");
    tester.send(&[named("a"), by_alias.clone(), named("b"), by_alias].concat());
    let keys: Vec<_> = tester.published().iter().map(|publish| publish.message.routing_key.clone()).collect();
    assert_eq!(keys, [vec![Bytes::from("a"); 6], vec![Bytes::from("b"); 6]].concat());
    let text = publish(0, "a", 0, Some(b"\x01\x01"), b"x").repeat(5);
    tester.send(&[text, publish(0, "a", 0, Some(b"\x01\x01"), b"\xFF")].concat());
    assert!(tester.close.is_some(), "not UTF-8");
}

#[test]
fn who_has_no_local_subscriptions_publishes_no_runs() {
    let mut tester = client(5, &[], 1_000);
    tester.send(&subscribe(5, 1, &[("a", 0b100)]));
    tester.send(&publish(0, "a", 0, Some(&[]), b"x").repeat(9));
    assert_eq!((tester.core.runs, tester.published().len()), (0, 9));
}

fn run(random: &mut Random, now: UnixMillis) -> Run {
    let (exchange, user) = (Name::from("amq.topic"), Name::from("u"));
    let qos = random.below(3) as u8;
    let section = [&[qos][..], [&[], &b"\x26\0\x01k\0\x01v"[..]][random.below(2) as usize]].concat();
    let arrived = Arrived {
        format: &FORMAT,
        exchange: &exchange,
        routing_key: [&b"a"[..], b"a.long.one", b"b"][random.below(3) as usize],
        properties: &section,
        body: &[],
        durable: qos > 0,
        priority: 0,
        ttl_ms: [None, None, Some(5_000), Some(0)][random.below(4) as usize],
        user: &user,
        received_at: now,
    };
    let bodies = (0..1 + random.below(9)).map(|_| vec![b'x'; [0, 1, 3, 90, 125, 200][random.below(6) as usize]]);
    let bodies: Vec<Vec<u8>> = bodies.collect();
    Run::new(&arrived, bodies.iter().map(Vec::as_slice))
}

#[test]
fn a_run_is_delivered_as_its_messages_are() {
    for seed in 0..500 {
        let mut random = Random::from_seed(seed);
        let level = [4, 5][random.below(2) as usize];
        // Packets of up to 128 bytes, five in flight, aliases.
        let properties = [&[][..], b"\x27\0\0\0\x80", b"\x21\0\x05", b"\x22\0\x01"][random.below(4) as usize];
        let properties = if level == 5 { properties } else { &[] };
        let [mut whole, mut single] = [(); 2].map(|()| client(level, properties, 1_000));
        let filters = [("a", random.below(3) as u8), ("a/#", random.below(3) as u8)];
        for tester in [&mut whole, &mut single] {
            tester.send(&subscribe(level, 1, &filters));
            tester.core.log.clear();
        }
        let (mut position, mut owed) = (1, Vec::new());
        for step in 0..6 {
            let run = run(&mut random, whole.now.unix);
            let delivery = RunDelivery {
                consumer: ConsumerId(0),
                queue: QueueId(7),
                position,
                run,
                delivered_at: UnixMillis(0),
                expires_at: None,
                binding: None,
            };
            position += delivery.run.len() as u64;
            let one_by_one = single.event(Event::Deliver(delivery.deliveries().collect()));
            assert_eq!(whole.event(Event::DeliverRun(Box::new(delivery))), one_by_one, "seed {seed}, step {step}");
            owed.push(packet(0x40, &(1 + random.below(position) as u16).to_be_bytes()));
            let acks = owed.concat();
            assert_eq!(whole.send(&acks), single.send(&acks), "seed {seed}, step {step}");
            for outcome in [Outcome::Accepted, Outcome::Rejected, Outcome::Released] {
                assert_eq!(whole.settled(outcome), single.settled(outcome), "seed {seed}, step {step}");
            }
        }
    }
}
