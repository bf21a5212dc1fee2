//! Standing bindings: they outlive their queue, and lead to another one meanwhile.

use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{BindingSpec, DeadLetter, Definition, QueueSettings, QueueSpec};
use crossdock_common::testkit::{CLOSED, STANDING};
use crossdock_common::{Name, Refusal, Table, Value};

use super::support::{Tester, World, binding, table};
use crate::{Grant, Permissions};

fn standing(otherwise: &str) -> BindingSpec {
    let attributes = table(&[(STANDING, Value::string(otherwise))]);
    BindingSpec { attributes, announced: true, ..binding("amq.fanout", "own", "k") }
}

fn durable(name: &str) -> Definition {
    let spec = QueueSpec { name: name.into(), durable: true, ..QueueSpec::default() };
    Definition::DeclareQueue { spec, passive: false }
}

fn declare_both(world: &World, client: &mut Tester) {
    for queue in ["own", "other"] {
        client.define(world, durable(queue)).expect("declares");
    }
}

fn set_closed(world: &World, client: &mut Tester, queue: &str, is_closed: bool) {
    let attributes = if is_closed { table(&[(CLOSED, Value::Bool(true))]) } else { Table::new() };
    let settings = QueueSettings::default().into();
    client.define(world, Definition::UpdateQueue { name: queue.into(), settings, attributes }).expect("updates");
}

fn delete(world: &World, client: &mut Tester, queue: &str) {
    let deletion = Definition::DeleteQueue { name: queue.into(), if_unused: false, if_empty: false };
    client.define(world, deletion).expect("deletes");
}

/// Publishes a message, and says which of the queues that exist got it.
fn taker(world: &World, client: &mut Tester, body: &str) -> Vec<String> {
    client.publish(world, "amq.fanout", "", body);
    let queues = ["own", "other"].into_iter();
    let queues = queues.filter(|queue| world.broker.has_queue(&"/".into(), &(*queue).into()));
    let takers: Vec<String> = queues
        .flat_map(|queue| {
            let got = client.drain(world, queue);
            got.into_iter().map(|got| format!("{queue}: {got}")).collect::<Vec<_>>()
        })
        .collect();
    takers
}

#[test]
fn messages_follow_the_queues_as_they_are() {
    let mut world = World::new();
    let mut client = world.client("u");
    declare_both(&world, &mut client);
    client.define(&world, Definition::Bind(standing("other"))).expect("binds");
    assert_eq!(taker(&world, &mut client, "1"), ["own: 1"]);
    delete(&world, &mut client, "own");
    assert_eq!(taker(&world, &mut client, "2"), ["other: 2"]);
    world.restart();
    let mut client = world.client("u");
    assert_eq!(taker(&world, &mut client, "3"), ["other: 3"], "the binding is there after a restart");
    client.define(&world, durable("own")).expect("declares");
    assert_eq!(taker(&world, &mut client, "4"), ["own: 4"]);
    set_closed(&world, &mut client, "own", true);
    assert_eq!(taker(&world, &mut client, "5"), ["other: 5"]);
    world.snapshot();
    world.restart();
    let mut client = world.client("u");
    assert_eq!(taker(&world, &mut client, "6"), ["other: 6"], "what closes it is looked at after a restart");
    delete(&world, &mut client, "other");
    assert!(taker(&world, &mut client, "7").is_empty());
    client.define(&world, durable("other")).expect("declares");
    assert_eq!(taker(&world, &mut client, "8"), ["other: 8"]);
    set_closed(&world, &mut client, "other", true);
    assert!(taker(&world, &mut client, "9").is_empty());
    set_closed(&world, &mut client, "own", false);
    assert_eq!(taker(&world, &mut client, "10"), ["own: 10"]);
}

#[test]
fn what_goes_nowhere_is_counted_and_shown() {
    let world = World::new();
    let mut client = world.client("u");
    client.define(&world, durable("own")).expect("declares");
    client.define(&world, Definition::Bind(standing(""))).expect("binds");
    assert!(world.broker.astray(&"/".into()).is_empty());
    delete(&world, &mut client, "own");
    for body in ["1", "2", "3"] {
        assert!(taker(&world, &mut client, body).is_empty());
    }
    let astray = world.broker.astray(&"/".into());
    assert_eq!(
        astray.iter().map(|one| (one.binding.key.as_ref(), one.to.clone())).collect::<Vec<_>>(),
        [(&b"k"[..], None)]
    );
    assert_eq!(world.broker.take_lost_by_standing_bindings(), 3);
    assert_eq!(world.broker.take_lost_by_standing_bindings(), 0);
}

#[test]
fn a_binding_without_its_queue_is_changed_and_removed() {
    let world = World::new();
    let mut client = world.client("u");
    declare_both(&world, &mut client);
    client.define(&world, Definition::Bind(standing(""))).expect("binds");
    delete(&world, &mut client, "own");
    client.define(&world, Definition::Bind(standing("other"))).expect("binds again");
    assert_eq!(taker(&world, &mut client, "1"), ["other: 1"]);
    assert_eq!(world.broker.bindings_from(&"/".into(), &"amq.fanout".into()).len(), 1);
    client.define(&world, Definition::Unbind(standing("other"))).expect("unbinds");
    assert!(taker(&world, &mut client, "2").is_empty());
    assert!(world.broker.astray(&"/".into()).is_empty());
    client.define(&world, durable("own")).expect("declares");
    assert!(taker(&world, &mut client, "3").is_empty());
    let usual = binding("amq.fanout", "nowhere", "k");
    assert!(matches!(client.define(&world, Definition::Bind(usual)), Err(Refusal::NotFound { .. })));
}

#[test]
fn letters_tell_by_which_binding_they_came() {
    let mut world = World::new();
    let mut client = world.client("u");
    declare_both(&world, &mut client);
    client.define(&world, Definition::Bind(standing("other"))).expect("binds");
    delete(&world, &mut client, "own");
    let mut message = super::support::message(&world, "amq.fanout", "", "m");
    message.durable = true;
    client.publish_message(&world, message, Some(1));
    // Where they go now is nothing to those that are there.
    client.define(&world, Definition::Bind(standing(""))).expect("binds again");
    world.restart();
    let mut client = world.client("u");
    let deliveries = client.fetch(&world, "other", 1, Lease::Timed { lease_ms: 1_000 });
    assert_eq!(deliveries[0].binding.as_ref().map(|spec| spec.key.as_ref()), Some(&b"k"[..]));
}

#[test]
fn messages_that_go_on_keep_the_binding() {
    let mut world = World::new();
    let mut client = world.client("u");
    declare_both(&world, &mut client);
    let dead_letter = Some(DeadLetter { exchange: Name::default(), routing_key: Some("other".into()) });
    let settings = QueueSettings { dead_letter, ..QueueSettings::default() }.into();
    let update = Definition::UpdateQueue { name: "own".into(), settings, attributes: Table::new() };
    client.define(&world, update).expect("updates");
    client.define(&world, Definition::Bind(standing(""))).expect("binds");
    let usual = BindingSpec { announced: true, ..binding("amq.direct", "own", "usual") };
    client.define(&world, Definition::Bind(usual)).expect("binds");
    for exchange in ["amq.fanout", "amq.direct"] {
        let mut message = super::support::message(&world, exchange, "usual", "m");
        message.durable = true;
        client.publish_message(&world, message, Some(1));
    }
    let lease = Lease::Timed { lease_ms: 1_000 };
    let deliveries = client.fetch(&world, "own", 2, lease);
    client.settle(&world, &deliveries, Outcome::Rejected);
    let keys = |client: &mut Tester, world: &World, queue: &str| -> Vec<Option<Vec<u8>>> {
        let deliveries = client.fetch(world, queue, 2, lease);
        deliveries.iter().map(|delivery| delivery.binding.as_ref().map(|spec| spec.key.to_vec())).collect()
    };
    assert_eq!(keys(&mut client, &world, "other"), [Some(b"k".to_vec()), None], "standing ones only");
    world.restart();
    let mut client = world.client("u");
    assert_eq!(keys(&mut client, &world, "other"), [Some(b"k".to_vec()), None]);
}

#[test]
fn the_other_queue_needs_the_right_to_write() {
    let world = World::new();
    let mut client = world.client("u");
    declare_both(&world, &mut client);
    let mut permissions = Permissions::default();
    permissions.grant("u".into(), "/".into(), Grant::new("", "^own$", ".*").expect("valid"));
    world.broker.set_permissions(permissions);
    let refused = client.define(&world, Definition::Bind(standing("other")));
    assert!(matches!(refused, Err(Refusal::AccessRefused { .. })), "{refused:?}");
    client.define(&world, Definition::Bind(standing("own"))).expect("binds");
}
