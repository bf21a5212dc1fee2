use std::collections::BTreeMap;

use crossdock_common::definition::{Definition, ExchangeSpec};
use crossdock_common::{Refusal, Value};

use super::support::{Tester, World, binding, table};

const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

fn with_exchange(world: &World, kind: &str, key: &str, arguments: &[(&str, Value)]) -> Tester {
    let mut client = world.client("u");
    client.exchange(world, "x", kind, arguments);
    for queue in QUEUES {
        client.queue(world, queue, &[]);
        client.bind(world, "x", queue, key);
    }
    client
}

/// Publishes a message for each key, and tells which queues it went to.
fn routes(world: &World, client: &mut Tester, queues: &[&'static str]) -> BTreeMap<String, Vec<&'static str>> {
    (0..200).for_each(|key| client.publish(world, "x", &format!("key {key}"), &format!("key {key}")));
    let mut routes: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for queue in queues {
        for body in client.drain(world, queue) {
            routes.entry(body).or_default().push(queue);
        }
    }
    assert_eq!(routes.len(), 200, "every message goes somewhere");
    assert!(routes.values().all(|queues| queues.len() == 1), "to one queue");
    routes
}

fn share(routes: &BTreeMap<String, Vec<&'static str>>, queue: &str) -> usize {
    routes.values().filter(|queues| queues[0] == queue).count()
}

fn refusal(client: &mut Tester, world: &World, definition: Definition) -> String {
    match client.define(world, definition) {
        Err(Refusal::PreconditionFailed(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_consistent_hash_moves_few_keys_when_queues_come_and_go() {
    let mut world = World::new();
    let mut client = with_exchange(&world, "x-consistent-hash", "1", &[]);
    let before = routes(&world, &mut client, &QUEUES);
    assert!(QUEUES.iter().all(|queue| (25..=80).contains(&share(&before, queue))), "{before:?}");
    client.queue(&world, "q4", &[]);
    client.bind(&world, "x", "q4", "1");
    let with_another = routes(&world, &mut client, &["q0", "q1", "q2", "q3", "q4"]);
    let moved: Vec<_> = before.iter().filter(|(key, queues)| with_another[*key] != **queues).collect();
    assert!((20..=65).contains(&moved.len()), "{} moved", moved.len());
    assert!(moved.iter().all(|(key, _)| with_another[*key] == ["q4"]), "only to the new queue");
    client.define(&world, Definition::Unbind(binding("x", "q4", "1"))).expect("unbinds");
    world.restart();
    let mut client = world.client("u");
    assert_eq!(routes(&world, &mut client, &QUEUES), before, "as before, also after a restart");
}

#[test]
fn the_binding_key_of_a_consistent_hash_is_a_weight() {
    let world = World::new();
    let mut client = with_exchange(&world, "x-consistent-hash", "1", &[]);
    client.queue(&world, "heavy", &[]);
    client.bind(&world, "x", "heavy", "12");
    let found = routes(&world, &mut client, &["q0", "q1", "q2", "q3", "heavy"]);
    assert!((120..=180).contains(&share(&found, "heavy")), "three quarters: {}", share(&found, "heavy"));
    let mut bind = |key: &str| refusal(&mut client, &world, Definition::Bind(binding("x", "q0", key)));
    assert_eq!(bind("0"), "The binding key must be greater than 0");
    assert_eq!(bind("-3"), "The binding key must be greater than 0");
    assert_eq!(bind("much"), "The binding key must be an integer: <<\"much\">>");
    assert_eq!(bind(""), "The binding key must be an integer: <<>>");
}

#[test]
fn a_consistent_hash_of_what_messages_do_not_have_leads_to_one_queue() {
    for argument in [("hash-header", "tenant"), ("hash-property", "message_id"), ("hash-property", "timestamp")] {
        let world = World::new();
        let mut client = with_exchange(&world, "x-consistent-hash", "1", &[(argument.0, Value::string(argument.1))]);
        let found = routes(&world, &mut client, &QUEUES);
        assert_eq!(QUEUES.iter().filter(|queue| share(&found, queue) > 0).count(), 1, "{argument:?}");
    }
}

#[test]
fn what_a_consistent_hash_cannot_be_computed_from_is_refused() {
    let world = World::new();
    let mut client = world.client("u");
    let mut declare = |arguments: &[(&str, Value)]| {
        let spec = ExchangeSpec {
            name: "x".into(),
            kind: "x-consistent-hash".into(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: table(arguments),
            attributes: vec![],
        };
        refusal(&mut client, &world, Definition::DeclareExchange { spec, passive: false })
    };
    let both = [("hash-header", Value::string("h")), ("hash-property", Value::string("message_id"))];
    assert_eq!(declare(&both), "hash-header and hash-property are mutually exclusive");
    assert_eq!(declare(&[("hash-property", Value::string("app_id"))]), "Unsupported property: app_id");
}

#[test]
fn chance_is_fair_and_a_modulus_is_faithful() {
    for kind in ["x-random", "x-local-random", "x-modulus-hash"] {
        let world = World::new();
        let mut client = with_exchange(&world, kind, "any key", &[]);
        let first = routes(&world, &mut client, &QUEUES);
        assert!(QUEUES.iter().all(|queue| (25..=80).contains(&share(&first, queue))), "{kind}: {first:?}");
        let again = routes(&world, &mut client, &QUEUES);
        assert_eq!(first == again, kind == "x-modulus-hash", "{kind}");
    }
}
