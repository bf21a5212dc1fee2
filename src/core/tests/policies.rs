//! Who has a say in a queue's durability: the queue, policies, its vhost, the broker.

use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{Definition, Durability, QueueInfo, QueueSettings, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Refusal, Value};

use super::support::{Tester, World, queue_spec};
use crate::{AppliesTo, Policies, Policy, PolicyDefinition};

fn world(policies: Policies) -> World {
    let mut world = World::new();
    world.restart_with(policies);
    world
}

fn policy(pattern: &str, priority: i64, durability: impl Into<Option<Durability>>) -> Policy {
    let definition = PolicyDefinition { durability: durability.into(), ..PolicyDefinition::default() };
    policy_of(pattern, priority, definition)
}

fn policy_of(pattern: &str, priority: i64, definition: PolicyDefinition) -> Policy {
    let (vhost, pattern) = ("/".into(), regex::Regex::new(pattern).expect("a pattern"));
    Policy { name: "policy".into(), vhost, pattern, applies_to: AppliesTo::ALL, priority, definition }
}

fn info(world: &World, client: &mut Tester, queue: &str) -> QueueInfo {
    match client.define(world, Definition::InspectQueue { name: queue.into() }) {
        Ok(Reply::QueueInfo(info)) => *info,
        other => panic!("{other:?}"),
    }
}

fn durability(world: &World, queue: &str) -> Durability {
    info(world, &mut world.client("u"), queue).durability
}

fn os() -> (&'static str, Value) {
    ("x-durability", Value::string("os"))
}

#[test]
fn each_overrides_what_is_less_near_to_the_queue() {
    let mut policies = Policies::new(Durability::Os);
    let mut world = world(policies.clone());
    world.client("u").queue(&world, "logs.a", &[]);
    world.client("u").queue(&world, "logs.own", &[("x-durability", Value::string("fsync"))]);
    assert_eq!(durability(&world, "logs.a"), Durability::Os, "the broker's");
    policies.set_vhost("/".into(), Durability::Fsync);
    policies.set_vhost("other".into(), Durability::Memory);
    world.restart_with(policies.clone());
    assert_eq!(durability(&world, "logs.a"), Durability::Fsync, "the vhost's");
    policies.add(policy(r"^logs\.", 0, Durability::Memory));
    world.restart_with(policies);
    assert_eq!(durability(&world, "logs.a"), Durability::Memory, "the policy's");
    assert_eq!(durability(&world, "logs.own"), Durability::Fsync, "its own");
}

#[test]
fn the_policy_with_the_highest_priority_applies_and_no_other() {
    let mut policies = Policies::default();
    policies.add(policy("a", 1, Durability::Os));
    policies.add(policy("a", 1, Durability::Memory));
    policies.add(policy("ab", 2, None));
    policies.add(policy("", 0, Durability::Memory));
    policies.add(Policy { vhost: "other".into(), ..policy("a", 9, Durability::Memory) });
    let world = world(policies);
    let mut client = world.client("u");
    ["a", "ab", "c"].into_iter().for_each(|queue| client.queue(&world, queue, &[]));
    let all = ["a", "ab", "c"].map(|queue| durability(&world, queue));
    assert_eq!(all, [Durability::Os, Durability::Fsync, Durability::Memory]);
}

#[test]
fn a_queue_that_does_not_survive_keeps_its_messages_in_memory() {
    let world = world(Policies::default());
    let mut client = world.client("u");
    let spec = QueueSpec { durable: false, ..queue_spec("transient", &[os()]) };
    client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    assert_eq!(durability(&world, "transient"), Durability::Memory);
}

#[test]
fn a_queues_own_word_survives_restarts_and_updates() {
    let mut world = world(Policies::default());
    let mut client = world.client("u");
    client.queue(&world, "argument", &[os()]);
    let settings = QueueSettings { durability: Some(Durability::Memory), ..QueueSettings::default() };
    let spec = QueueSpec { durable: true, settings: settings.into(), ..queue_spec("direct", &[]) };
    client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    let change = |name: &str| {
        let settings = QueueSettings { durability: Some(Durability::Fsync), ..QueueSettings::default() };
        Definition::UpdateQueue { name: name.into(), settings: settings.into(), attributes: vec![] }
    };
    for queue in ["argument", "direct"] {
        client.define(&world, change(queue)).expect("updates");
    }
    let both = |world: &World| ["argument", "direct"].map(|queue| durability(world, queue));
    assert_eq!(both(&world), [Durability::Os, Durability::Memory]);
    world.restart();
    assert_eq!(both(&world), [Durability::Os, Durability::Memory]);
    world.snapshot();
    world.restart();
    assert_eq!(both(&world), [Durability::Os, Durability::Memory]);
}

#[test]
fn other_words_are_refused_and_a_second_declaration_must_say_the_same() {
    let world = world(Policies::default());
    let mut client = world.client("u");
    let mut declare = |value: Value| {
        let spec = QueueSpec { durable: true, ..queue_spec("q", &[("x-durability", value)]) };
        match client.define(&world, Definition::DeclareQueue { spec, passive: false }) {
            Ok(_) => String::new(),
            Err(Refusal::PreconditionFailed(text)) => text,
            Err(other) => panic!("{other:?}"),
        }
    };
    let invalid = "invalid arg 'x-durability' for queue 'q' in vhost '/': ";
    assert_eq!(declare(Value::string("disk")), format!("{invalid}invalid_durability"));
    assert_eq!(declare(Value::I32(1)), format!("{invalid}{{unacceptable_type,signedint}}"));
    assert_eq!(declare(Value::string("os")), "");
    assert_eq!(declare(Value::string("os")), "");
    let differs = declare(Value::string("memory"));
    assert!(differs.starts_with("inequivalent arg 'x-durability' for queue 'q' in vhost '/': received"), "{differs}");
}

#[test]
fn a_policy_goes_before_the_delivery_limit_that_quorum_queues_have_of_themselves() {
    let mut policies = Policies::default();
    policies.add(policy_of("^much$", 0, PolicyDefinition { delivery_limit: Some(30), ..PolicyDefinition::default() }));
    let world = world(policies);
    let mut client = world.client("u");
    for (queue, times) in [("much", 31), ("usual", 21)] {
        client.queue(&world, queue, &[("x-queue-type", Value::string("quorum"))]);
        client.publish(&world, "", queue, "m");
        for _ in 0..times {
            let held = client.fetch(&world, queue, 1, Lease::Connection);
            assert_eq!(held.len(), 1);
            client.settle(&world, &held, Outcome::Released);
        }
        assert!(client.drain(&world, queue).is_empty(), "{queue}");
    }
}

#[test]
fn what_earlier_versions_passed_over_does_not_keep_a_queue_from_coming_back() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let strange = [("x-consumer-timeout", "soon"), ("x-message-deduplication", "yes"), ("x-queue-mode", "eager")];
    for (argument, value) in strange {
        let spec = QueueSpec { durable: true, ..queue_spec("p", &[(argument, Value::string(value))]) };
        assert!(client.define(&world, Definition::DeclareQueue { spec: spec.clone(), passive: false }).is_err());
        assert!(crate::settings::effective(&spec, &"/".into()).is_ok(), "{argument}");
    }
    world.restart();
    assert_eq!(durability(&world, "q"), Durability::Fsync);
}
