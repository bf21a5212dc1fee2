//! Rows of the hostile-input catalogue that concern routing and dead letters.

use bytes::Bytes;
use crossdock_common::Value;

use super::support::{World, message};

/// A09-6: patterns that fit in very many ways are tried once for each word, not once for each way.
#[test]
fn patterns_of_many_hashes_are_matched_in_little_time() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let many = |word: &str| vec![word; 100].join(".");
    for pattern in [many("#"), many("*.#"), many("#.a"), format!("{}.b", many("#"))] {
        client.bind(&world, "amq.topic", "q", &pattern);
    }
    for key in [many("a"), many(""), many("b"), ".".repeat(255)] {
        client.publish(&world, "amq.topic", &key, "m");
    }
    assert_eq!(client.drain(&world, "q").len(), 4);
}

/// A09-12: a letter that goes to many queues at once, from each of which it would come back, comes to each of them once.
#[test]
fn letters_with_many_keys_do_not_multiply() {
    let mut world = World::new();
    let mut client = world.client("u");
    let queues: Vec<String> = (0..20).map(|number| format!("q{number}")).collect();
    let around = [("x-message-ttl", Value::I32(10)), ("x-dead-letter-exchange", Value::string("amq.fanout"))];
    for queue in &queues {
        client.queue(&world, queue, &around);
        client.bind(&world, "amq.fanout", queue, "");
    }
    let mut sent = message(&world, "", "q0", "m");
    sent.rare_mut().extra_keys = queues.iter().map(|queue| Bytes::from(queue.clone())).collect();
    client.publish_message(&world, sent, Some(1));
    let held = |client: &mut super::support::Tester, world: &World| -> usize {
        queues.iter().map(|queue| client.drain(world, queue).len()).sum()
    };
    world.advance_ms(5);
    assert_eq!(held(&mut client, &world), 20, "once each");
    let mut sent = message(&world, "", "q0", "m");
    sent.rare_mut().extra_keys = queues.iter().map(|queue| Bytes::from(queue.clone())).collect();
    client.publish_message(&world, sent, Some(2));
    // Each of the twenty dies and goes to the nineteen others, where it may die again, and never to where it has been.
    world.advance_ms(10);
    assert_eq!(held(&mut client, &world), 20 * 19);
}

/// A09-12: where letters do multiply, all copies of one message together are bounded, and every one of them says how many there may be.
#[test]
fn letters_that_multiply_are_bounded() {
    let mut world = World::new();
    let mut client = world.client("u");
    let queues: Vec<String> = (0..12).map(|number| format!("q{number}")).collect();
    let around = [("x-message-ttl", Value::I32(10)), ("x-dead-letter-exchange", Value::string(""))];
    queues.iter().for_each(|queue| client.queue(&world, queue, &around));
    let mut sent = message(&world, "", "q0", "m");
    sent.rare_mut().extra_keys = queues.iter().map(|queue| Bytes::from(queue.clone())).collect();
    client.publish_message(&world, sent, Some(1));
    let mut held = Vec::new();
    for life in 0..14 {
        held.push(world.broker.counts().ready);
        world.advance_ms(10);
        if life == 4 {
            world.restart();
        }
    }
    // 12 were published. Each may become 100: first 11; of them 10 would exceed that, and 9 do not; then there is no more room.
    assert_eq!(held[..4], [12, 12 * 11, 12 * 11 * 9, 12 * 11 * 9]);
    assert!(held.iter().all(|held| *held <= 12 * 100), "{held:?}");
    assert_eq!(held[13], 0, "all have been everywhere");
    assert!(world.broker.letters_withheld() > 0);
}
