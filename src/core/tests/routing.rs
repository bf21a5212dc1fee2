use crossdock_common::definition::{BindingSpec, Definition, Destination};
use crossdock_common::{Event, Value};

use super::support::{World, binding};

#[test]
fn exchanges_bound_to_exchanges_and_alternates() {
    let world = World::new();
    let mut client = world.client("u");
    for queue in ["a", "b", "rest"] {
        client.queue(&world, queue, &[]);
    }
    client.exchange(&world, "in", "direct", &[("alternate-exchange", Value::string("unrouted"))]);
    client.exchange(&world, "out", "topic", &[]);
    client.exchange(&world, "unrouted", "fanout", &[]);
    let hop = BindingSpec { destination: Destination::Exchange("out".into()), ..binding("in", "", "x.y") };
    client.define(&world, Definition::Bind(hop.clone())).expect("binds");
    let back = BindingSpec { destination: Destination::Exchange("in".into()), ..binding("out", "", "#") };
    client.define(&world, Definition::Bind(back)).expect("a cycle is legal");
    client.bind(&world, "out", "a", "x.*");
    client.bind(&world, "out", "a", "#");
    client.bind(&world, "in", "b", "x.y");
    client.bind(&world, "unrouted", "rest", "");
    client.publish(&world, "in", "x.y", "1");
    client.publish(&world, "in", "other", "2");
    assert_eq!(client.drain(&world, "a"), ["1"], "once, though two bindings match");
    assert_eq!(client.drain(&world, "b"), ["1"]);
    assert_eq!(client.drain(&world, "rest"), ["2"]);
}

#[test]
fn what_no_queue_takes_comes_back_before_its_confirm() {
    let world = World::new();
    let mut client = world.client("u");
    client.publish_message(&world, super::support::message(&world, "amq.direct", "nowhere", "m"), Some(1));
    let order: Vec<bool> = client
        .events
        .iter()
        .filter(|event| matches!(event, Event::Unroutable { .. } | Event::Confirmed { .. }))
        .map(|event| matches!(event, Event::Unroutable { mandatory: true, .. }))
        .collect();
    assert_eq!(order, [true, false]);
    client.publish_message(&world, super::support::message(&world, "no such", "k", "m"), Some(2));
    assert!(client.events.iter().any(|event| matches!(event, Event::PublishRefused { confirm: Some(2), .. })));
}

#[test]
fn bindings_survive_and_routes_follow_changes() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.bind(&world, "amq.topic", "q", "a.#");
    client.publish(&world, "amq.topic", "a.b", "1");
    client.define(&world, Definition::Unbind(binding("amq.topic", "q", "a.#"))).expect("unbinds");
    client.publish(&world, "amq.topic", "a.b", "2");
    client.bind(&world, "amq.topic", "q", "*.b");
    world.restart();
    let mut client = world.client("u");
    client.publish(&world, "amq.topic", "a.b", "3");
    assert_eq!(client.drain(&world, "q"), ["1", "3"]);
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let spec = crossdock_common::definition::ExchangeSpec {
        name: "auto".into(),
        kind: "fanout".into(),
        durable: true,
        auto_delete: true,
        internal: false,
        arguments: vec![],
        attributes: vec![],
    };
    client.define(&world, Definition::DeclareExchange { spec, passive: false }).expect("declares");
    client.bind(&world, "auto", "q", "");
    client
        .define(&world, Definition::DeleteQueue { name: "q".into(), if_unused: false, if_empty: false })
        .expect("deletes");
    assert!(client.define(&world, Definition::InspectExchange { name: "auto".into() }).is_err());
}
