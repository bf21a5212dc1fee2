use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeSpec};
use crossdock_common::random::Random;
use crossdock_common::{Event, Value};

use super::support::{Tester, World, binding, queue_spec, table};

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
    let spec = ExchangeSpec {
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

/// How often routes had to be looked up anew while something was done.
fn moves(world: &World, work: impl FnOnce()) -> u64 {
    let before = world.broker.version();
    work();
    world.broker.version() - before
}

#[test]
fn a_new_queue_is_found_by_its_name_though_no_route_is_forgotten_for_it() {
    let world = World::new();
    let (mut client, mut other) = (world.client("u"), world.client("u"));
    client.exchange(&world, "in", "direct", &[("alternate-exchange", Value::string(""))]);
    client.publish(&world, "", "late", "too early");
    client.publish(&world, "in", "late", "too early by another way");
    assert_eq!(moves(&world, || other.queue(&world, "late", &[])), 0);
    client.publish(&world, "", "late", "1");
    client.publish(&world, "in", "late", "2");
    assert_eq!(other.drain(&world, "late"), ["1", "2"]);
}

#[test]
fn the_route_to_a_deleted_queue_is_forgotten() {
    let world = World::new();
    let (mut client, mut other) = (world.client("u"), world.client("u"));
    let delete = |name: &str| Definition::DeleteQueue { name: name.into(), if_unused: false, if_empty: false };
    for name in ["by name", "bound", "unknown"] {
        client.queue(&world, name, &[]);
    }
    client.bind(&world, "amq.direct", "bound", "k");
    for round in 0..2 {
        client.publish(&world, "", "by name", "m");
        client.publish(&world, "amq.direct", "k", "m");
        let returned = client.events.iter().filter(|event| matches!(event, Event::Unroutable { .. })).count();
        assert_eq!(returned, round * 2, "nobody keeps a message for a queue that is gone");
        for (name, moved) in [("by name", 1), ("bound", 1), ("unknown", 0)] {
            let moved = if round == 0 { moved } else { 0 };
            let forgotten = moves(&world, || drop(other.define(&world, delete(name)).expect("deletes")));
            assert_eq!(forgotten, moved, "{name}, round {round}");
        }
    }
}

#[test]
fn changes_that_change_routes_are_seen_by_those_who_keep_them() {
    let world = World::new();
    let (mut client, mut other) = (world.client("u"), world.client("u"));
    client.queue(&world, "a", &[]);
    client.queue(&world, "b", &[]);
    client.exchange(&world, "in", "direct", &[("alternate-exchange", Value::string("rest"))]);
    client.bind(&world, "amq.fanout", "a", "");
    client.publish(&world, "amq.fanout", "", "1");
    client.publish(&world, "in", "", "nowhere");
    other.bind(&world, "amq.fanout", "b", "");
    other.exchange(&world, "rest", "fanout", &[]);
    client.publish(&world, "amq.fanout", "", "2");
    client.publish(&world, "in", "", "nowhere yet");
    other.bind(&world, "rest", "b", "");
    client.publish(&world, "in", "", "3");
    other.define(&world, Definition::Unbind(binding("amq.fanout", "a", ""))).expect("unbinds");
    client.publish(&world, "amq.fanout", "", "4");
    other.define(&world, Definition::DeleteExchange { name: "rest".into(), if_unused: false }).expect("deletes");
    client.publish(&world, "in", "", "nowhere again");
    assert_eq!(client.drain(&world, "a"), ["1", "2"]);
    assert_eq!(client.drain(&world, "b"), ["2", "3", "4"]);
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Some change of exchanges, queues or bindings. Those that make no sense are refused.
fn any_change(random: &mut Random) -> Definition {
    let mut pick = || NAMES[(random.next_u64() % 3) as usize];
    let (source, destination, key) = (pick(), pick(), pick());
    let spec = match random.next_u64() % 2 {
        0 => binding(source, destination, key),
        _ => BindingSpec { destination: Destination::Exchange(destination.into()), ..binding(source, "", key) },
    };
    let kind = ["direct", "fanout", "topic"][(random.next_u64() % 3) as usize];
    // The alternate may be missing, or be the default exchange.
    let alternate = ["", "a", "b", "c"][(random.next_u64() % 4) as usize];
    let exchange = ExchangeSpec {
        name: source.into(),
        kind: kind.into(),
        durable: true,
        auto_delete: random.next_u64().is_multiple_of(4),
        internal: false,
        arguments: table(&[("alternate-exchange", Value::string(alternate))]),
        attributes: vec![],
    };
    match random.next_u64() % 8 {
        0 | 1 => Definition::DeclareQueue { spec: queue_spec(destination, &[]), passive: false },
        2 => Definition::DeleteQueue { name: destination.into(), if_unused: false, if_empty: false },
        3 => Definition::DeclareExchange { spec: exchange, passive: false },
        4 => Definition::DeleteExchange { name: source.into(), if_unused: false },
        5 | 6 => Definition::Bind(spec),
        _ => Definition::Unbind(spec),
    }
}

/// Where a message of an own publisher arrives: the queues, or nowhere.
fn arrivals(
    world: &World,
    publisher: &mut Tester,
    reader: &mut Tester,
    exchange: &str,
    key: &str,
) -> Vec<&'static str> {
    publisher.publish(world, exchange, key, "m");
    let inspect = |name: &str| Definition::InspectQueue { name: name.into() };
    let mut exists = |name: &&&str| reader.define(world, inspect(name)).is_ok();
    let existing: Vec<&&str> = NAMES.iter().filter(|name| exists(name)).collect();
    existing.into_iter().copied().filter(|name| !reader.drain(world, name).is_empty()).collect()
}

#[test]
fn whoever_keeps_routes_reaches_the_same_queues_as_a_newcomer() {
    for seed in 0..200 {
        let mut random = Random::from_seed(seed);
        let world = World::new();
        let (mut keeper, mut other) = (world.client("u"), world.client("u"));
        for change in 0..40 {
            let _ = other.define(&world, any_change(&mut random));
            for (exchange, key) in [("", "a"), ("a", "a"), ("b", "c"), ("c", "b")] {
                let kept = arrivals(&world, &mut keeper, &mut other, exchange, key);
                let mut newcomer = world.client("u");
                let found = arrivals(&world, &mut newcomer, &mut other, exchange, key);
                assert_eq!(kept, found, "seed {seed}, change {change}, exchange '{exchange}', key '{key}'");
            }
        }
    }
}

#[test]
fn an_exchange_goes_with_its_bindings_and_leaves_those_of_others() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.exchange(&world, "one", "direct", &[]);
    client.exchange(&world, "other", "direct", &[]);
    for number in 0..1_000 {
        client.bind(&world, "one", "q", &number.to_string());
    }
    client.bind(&world, "other", "q", "k");
    let delete = Definition::DeleteExchange { name: "one".into(), if_unused: false };
    client.define(&world, delete).expect("deletes");
    let left = world.broker.bindings_to(&"/".into(), &Destination::Queue("q".into()));
    assert_eq!(left.iter().map(|spec| spec.source.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn exchanges_count_what_is_published_to_them_and_where_it_went() {
    let world = World::new();
    let mut client = world.client("u");
    for queue in ["one", "two"] {
        client.queue(&world, queue, &[]);
        client.bind(&world, "amq.fanout", queue, "");
    }
    client.publish(&world, "amq.fanout", "", "to both");
    client.publish(&world, "", "one", "to one");
    client.publish(&world, "", "nobody", "to none");
    client.publish_run(&world, ("", "one"), false, &["1".to_owned(), "2".to_owned()], None);
    let sample = |name: &str| {
        let sample = world.broker.exchange_sample(&"/".into(), &name.into()).expect("exists");
        (sample.published, sample.routed)
    };
    assert_eq!((sample("amq.fanout"), sample(""), sample("amq.topic")), ((1, 2), (4, 3), (0, 0)));
    assert_eq!(world.broker.exchange_samples().len(), 2);
}
