use crossdock_common::command::{Lease, Outcome, Publish};
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Command, Event, Lane, Refusal, Value};

use super::support::{Tester, World, bodies, message, queue_spec};

#[test]
fn a_confirm_and_a_delivery_wait_for_the_log() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.consume(&world, "q", 1, 0).expect("consumes");
    world.instantly_durable = false;
    client.publish_message(&world, message(&world, "", "q", "durable"), Some(1));
    assert!(client.bodies(&world).is_empty() && client.confirmed(&world).is_empty());
    world.sync();
    assert_eq!(client.bodies(&world), ["durable"]);
    assert_eq!(client.confirmed(&world), [1]);
}

#[test]
fn a_transient_message_does_not_overtake_a_durable_one() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.consume(&world, "q", 1, 0).expect("consumes");
    world.instantly_durable = false;
    client.publish(&world, "", "q", "1");
    let mut transient = message(&world, "", "q", "2");
    transient.durable = false;
    client.publish_message(&world, transient, Some(2));
    assert!(client.bodies(&world).is_empty());
    assert_eq!(client.confirmed(&world), [2], "a transient message is confirmed once it has its place");
    world.sync();
    assert_eq!(client.bodies(&world), ["1", "2"]);
}

#[test]
fn durable_messages_of_durable_queues_survive_a_restart_in_order() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let spec = QueueSpec { durable: false, ..queue_spec("gone", &[]) };
    client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    for body in ["1", "2", "3"] {
        client.publish(&world, "", "q", body);
    }
    let first = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &first, Outcome::Accepted);
    world.restart();
    let mut client = world.client("u");
    assert_eq!(client.drain(&world, "q"), ["2", "3"]);
    let gone = client.define(&world, Definition::InspectQueue { name: "gone".into() });
    assert!(matches!(gone, Err(Refusal::NotFound { .. })));
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty());
}

#[test]
fn the_window_bounds_what_a_consumer_holds() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.consume(&world, "q", 1, 2).expect("consumes");
    (1..=4).for_each(|n| client.publish(&world, "", "q", &n.to_string()));
    let first = client.deliveries(&world);
    assert_eq!(bodies(&first), ["1", "2"]);
    client.settle(&world, &first[..1], Outcome::Accepted);
    assert_eq!(client.bodies(&world), ["3"]);
}

#[test]
fn consumers_take_turns_and_released_messages_go_back_to_their_place() {
    let world = World::new();
    let (mut one, mut two) = (world.client("u"), world.client("u"));
    one.queue(&world, "q", &[]);
    one.consume(&world, "q", 1, 0).expect("consumes");
    two.consume(&world, "q", 1, 0).expect("consumes");
    (1..=4).for_each(|n| one.publish(&world, "", "q", &n.to_string()));
    assert_eq!((one.bodies(&world), two.bodies(&world)), (vec!["1".into(), "3".into()], vec!["2".into(), "4".into()]));
    one.client.close(world.now);
    let again = two.deliveries(&world);
    assert_eq!(bodies(&again), ["1", "3"]);
    assert!(again.iter().all(|delivery| delivery.delivery_count == 1));
}

#[test]
fn max_length_drops_the_head_or_refuses() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "drop", &[("x-max-length", Value::I32(2))]);
    let refuse = [("x-max-length", Value::I32(2)), ("x-overflow", Value::string("reject-publish"))];
    client.queue(&world, "refuse", &refuse);
    for n in 1..=3 {
        client.publish_message(&world, message(&world, "", "drop", &n.to_string()), Some(n));
        client.publish_message(&world, message(&world, "", "refuse", &n.to_string()), Some(10 + n));
    }
    assert_eq!(client.confirmed(&world), [1, 11, 2, 12, 3]);
    assert!(client.events.iter().any(|event| matches!(event, Event::Rejected { confirm: 13, .. })));
    assert_eq!(client.drain(&world, "drop"), ["2", "3"]);
    assert_eq!(client.drain(&world, "refuse"), ["1", "2"]);
}

#[test]
fn priorities_come_first() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-max-priority", Value::I32(5))]);
    for (priority, body) in [(0, "low"), (9, "capped"), (3, "mid"), (5, "high")] {
        let mut message = message(&world, "", "q", body);
        message.priority = priority;
        client.publish_message(&world, message, None);
    }
    assert_eq!(client.drain(&world, "q"), ["capped", "high", "mid", "low"]);
}

#[test]
fn auto_delete_exclusive_and_expiring_queues_go() {
    let mut world = World::new();
    let (mut owner, mut other) = (world.client("u"), world.client("u"));
    let exclusive = QueueSpec { exclusive: true, ..queue_spec("mine", &[]) };
    owner.define(&world, Definition::DeclareQueue { spec: exclusive, passive: false }).expect("declares");
    let locked = other.define(&world, Definition::InspectQueue { name: "mine".into() });
    assert!(matches!(locked, Err(Refusal::ResourceLocked { .. })));
    let auto = QueueSpec { auto_delete: true, ..queue_spec("auto", &[]) };
    other.define(&world, Definition::DeclareQueue { spec: auto, passive: false }).expect("declares");
    other.queue(&world, "expires", &[("x-expires", Value::I32(1000))]);
    owner.consume(&world, "auto", 1, 0).expect("consumes");
    owner.client.close(world.now);
    world.advance_ms(1001);
    for name in ["mine", "auto", "expires"] {
        let gone = other.define(&world, Definition::InspectQueue { name: name.into() });
        assert!(matches!(gone, Err(Refusal::NotFound { .. })), "{name}");
    }
}

#[test]
fn a_queue_tells_its_consumers_how_long_they_may_take() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-consumer-timeout", Value::I32(5_000))]);
    let Ok(Reply::Consumer { consumer_timeout_ms: 5_000, .. }) = client.consume(&world, "q", 1, 0) else {
        panic!("it says nothing")
    };
}

#[test]
fn a_quorum_queue_counts_and_gives_up_after_twenty_returns() {
    let mut world = World::new();
    let mut client = world.client("u");
    for (name, limit) in [("q", None), ("few", Some(1)), ("any", Some(-1))] {
        let mut arguments = vec![("x-queue-type", Value::string("quorum"))];
        arguments.extend(limit.map(|limit| ("x-delivery-limit", Value::I32(limit))));
        client.queue(&world, name, &arguments);
        client.publish(&world, "", name, "m");
    }
    let times = |world: &World, client: &mut Tester, queue: &str| {
        for time in 0..50u32 {
            let Some(delivery) = client.fetch(world, queue, 1, Lease::Connection).pop() else { return time };
            assert_eq!((delivery.delivery_count, delivery.is_counted), (time, true));
            client.settle(world, &[delivery], Outcome::Released);
        }
        50
    };
    assert_eq!(times(&world, &mut client, "few"), 2);
    assert_eq!(times(&world, &mut client, "any"), 50);
    assert_eq!(times(&world, &mut client, "q"), 21);
    client.publish(&world, "", "q", "again");
    let held = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &held, Outcome::Released);
    world.restart();
    let after = world.client("u").fetch(&world, "q", 1, Lease::Connection);
    assert_eq!(after[0].delivery_count, 1, "also after a restart");
}

#[test]
fn a_message_that_lives_no_time_reaches_who_waits_for_it_and_nobody_later() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-message-ttl", Value::I32(0))]);
    client.publish(&world, "", "q", "nobody waits");
    client.consume(&world, "q", 1, 1).expect("consumes");
    assert!(client.bodies(&world).is_empty());
    client.publish(&world, "", "q", "waited for");
    client.publish(&world, "", "q", "no room");
    let got = client.deliveries(&world);
    assert_eq!(bodies(&got), ["waited for"]);
    client.settle(&world, &got, Outcome::Accepted);
    assert!(client.bodies(&world).is_empty());
}

#[test]
fn declaring_again_with_other_arguments_is_refused_in_rabbitmqs_words() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-message-ttl", Value::I32(5))]);
    let declare = |spec| Definition::DeclareQueue { spec, passive: false };
    let text = |result: Result<_, Refusal>| result.expect_err("refused").to_string();
    let other = QueueSpec { durable: true, ..queue_spec("q", &[("x-message-ttl", Value::I32(6))]) };
    assert_eq!(
        text(client.define(&world, declare(other))),
        "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '6' but current is '5'"
    );
    let transient = queue_spec("q", &[("x-message-ttl", Value::I32(5))]);
    assert_eq!(
        text(client.define(&world, declare(transient))),
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
    );
}

#[test]
fn a_deleted_queue_cancels_its_consumers() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.consume(&world, "q", 9, 0).expect("consumes");
    let delete = |if_unused| Definition::DeleteQueue { name: "q".into(), if_unused, if_empty: false };
    assert!(matches!(client.define(&world, delete(true)), Err(Refusal::PreconditionFailed(_))));
    client.define(&world, delete(false)).expect("deletes");
    assert!(client.events.iter().any(|event| matches!(event, Event::ConsumerCancelled { .. })));
}

#[test]
fn a_deleted_queue_gives_back_the_room_of_its_deliveries_in_the_lane() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "one", &[]);
    client.queue(&world, "two", &[]);
    client.send(&world, Command::LaneWindow { lane: Lane(0), window: 1 });
    client.consume(&world, "one", 1, 0).expect("consumes");
    client.consume(&world, "two", 2, 0).expect("consumes");
    client.publish(&world, "", "one", "1");
    client.publish(&world, "", "two", "2");
    assert_eq!(client.bodies(&world), ["1"]);
    let delete = Definition::DeleteQueue { name: "one".into(), if_unused: false, if_empty: false };
    world.client("other").define(&world, delete).expect("deletes");
    client.hear(&world);
    assert_eq!(client.bodies(&world), ["2"]);
}

#[test]
fn a_publish_that_several_shards_refuse_is_refused_once() {
    let world = World::new();
    let mut client = world.client("u");
    let full = [("x-max-length", Value::I32(0)), ("x-overflow", Value::string("reject-publish"))];
    for name in ["a", "b", "c", "d", "e", "f"] {
        client.queue(&world, name, &full);
        client.bind(&world, "amq.fanout", name, "");
    }
    client.publish_message(&world, message(&world, "amq.fanout", "", "x"), Some(1));
    client.hear(&world);
    assert_eq!(client.events.iter().filter(|event| matches!(event, Event::Rejected { .. })).count(), 1);
}

#[test]
fn what_a_lost_connection_held_comes_back_in_its_place() {
    let world = World::paging(crate::Paging { memory_bytes_max: u64::MAX, ..crate::Paging::default() });
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let mut transient = message(&world, "", "q", "x");
    transient.durable = false;
    let transient = std::sync::Arc::new(transient);
    const COUNT: usize = 100_000;
    let publish = |_| {
        let message = transient.clone();
        Command::Publish(Publish {
            lane: Lane(0),
            confirm: None,
            message,
            mandatory: false,
            retain: false,
            exactly_once: None,
        })
    };
    let mut commands = (0..2 * COUNT).map(publish).collect();
    client.client.execute(world.now, &mut commands);
    let mut holder = world.client("u");
    assert_eq!(holder.fetch(&world, "q", COUNT as u32, Lease::Connection).len(), COUNT);
    // Work that grows with the square would take half a minute here instead of a moment.
    holder.client.close(world.now);
    let places: Vec<_> = client.fetch(&world, "q", u32::MAX, Lease::Connection).iter().map(|d| d.id.position).collect();
    assert!(places.len() == 2 * COUNT && places.is_sorted());
}

#[test]
fn what_others_declared_is_answered_and_confirmed_once_it_is_durable() {
    let mut world = World::new();
    let mut declarer = world.client("u");
    let mut other = world.client("u");
    world.instantly_durable = false;
    let spec = QueueSpec { durable: true, ..queue_spec("q", &[]) };
    let declare = || {
        let definition = Box::new(Definition::DeclareQueue { spec: spec.clone(), passive: false });
        Command::Define { request: crossdock_common::RequestId(99), definition }
    };
    declarer.send(&world, declare());
    // Its messages' log is faster than the definitions'.
    let sync_shards = |world: &World| {
        for shard in 0..super::support::SHARDS {
            let length = world.logs[shard + 1].lock().all.len() as u64;
            world.broker.durable(crate::Partition::Shard(shard), crate::Sequence(length), world.now);
        }
    };
    other.publish_message(&world, message(&world, "", "q", "x"), Some(1));
    let mut transient = message(&world, "", "q", "y");
    transient.durable = false;
    other.publish_message(&world, transient, Some(2));
    sync_shards(&world);
    assert!(!other.confirmed(&world).contains(&1), "a crash now would lose the queue with the message");
    other.send(&world, declare());
    other.hear(&world);
    let answered = |event: &Event| matches!(event, Event::Reply { .. });
    assert!(!other.events.iter().any(answered), "a crash now would lose the queue");
    world.sync();
    assert!(other.confirmed(&world).contains(&1));
    assert!(other.events.iter().any(answered));
}

#[test]
fn the_number_of_a_queue_that_a_crash_took_is_not_given_again() {
    let mut world = World::new();
    let mut client = world.client("u");
    world.instantly_durable = false;
    let spec = QueueSpec { durable: true, ..queue_spec("q", &[]) };
    let definition = Box::new(Definition::DeclareQueue { spec, passive: false });
    client.send(&world, Command::Define { request: crossdock_common::RequestId(99), definition });
    world.client("v").publish(&world, "", "q", "ghost");
    world.logs[0].lock().all.clear();
    world.restart();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty());
}

#[test]
fn a_restart_deletes_no_exchange_that_a_transient_queue_kept() {
    let mut world = World::new();
    let mut client = world.client("u");
    let spec = crossdock_common::definition::ExchangeSpec {
        name: "x".into(),
        kind: "fanout".into(),
        durable: true,
        auto_delete: true,
        internal: false,
        arguments: vec![],
        attributes: vec![],
    };
    client.define(&world, Definition::DeclareExchange { spec, passive: false }).expect("declares");
    let transient = Definition::DeclareQueue { spec: queue_spec("transient", &[]), passive: false };
    client.define(&world, transient).expect("declares");
    client.queue(&world, "first", &[]);
    client.queue(&world, "second", &[]);
    client.bind(&world, "x", "transient", "");
    client.bind(&world, "x", "first", "");
    client.define(&world, Definition::Unbind(super::support::binding("x", "first", ""))).expect("unbinds");
    client.bind(&world, "x", "second", "");
    world.restart();
    let mut client = world.client("u");
    client.publish(&world, "x", "", "x");
    assert_eq!(client.drain(&world, "second"), ["x"]);
}

#[test]
fn a_retained_message_is_confirmed_once_it_is_retained_too() {
    let mut world = World::new();
    let mut client = world.client("u");
    // One of these keys is kept by the other shard.
    for key in ["a", "b"] {
        client.queue(&world, "q", &[]);
        client.bind(&world, "amq.topic", "q", key);
    }
    let shard = crate::definitions::shard_of(queue_id(&world, "q"));
    world.instantly_durable = false;
    for (confirm, key) in [(1, "a"), (2, "b")] {
        let message = std::sync::Arc::new(message(&world, "amq.topic", key, "x"));
        let confirm = Some(confirm);
        client.send(
            &world,
            Command::Publish(Publish {
                lane: Lane(0),
                confirm,
                message,
                mandatory: false,
                retain: true,
                exactly_once: None,
            }),
        );
    }
    let length = world.logs[shard + 1].lock().all.len() as u64;
    world.broker.durable(crate::Partition::Shard(shard), crate::Sequence(length), world.now);
    assert_eq!(client.confirmed(&world).len(), 1, "the other's retained copy is not durable yet");
    world.sync();
    assert_eq!(client.confirmed(&world).len(), 2);
}

fn queue_id(world: &World, name: &str) -> crossdock_common::names::QueueId {
    let definitions = world.broker.definitions();
    let vhost = definitions.vhost(&"/".into()).expect("exists");
    vhost.queue(&"/".into(), &name.into()).expect("exists").id
}

#[test]
fn what_a_connection_asked_before_its_end_is_done_though_a_declaration_is_not_durable_yet() {
    let mut world = World::new();
    let mut client = world.client("u");
    world.instantly_durable = false;
    let spec = QueueSpec { durable: true, ..queue_spec("q", &[]) };
    let definition = Box::new(Definition::DeclareQueue { spec, passive: false });
    let message = std::sync::Arc::new(message(&world, "", "q", "x"));
    let publish =
        Publish { lane: Lane(0), confirm: None, message, mandatory: false, retain: false, exactly_once: None };
    let declare = Command::Define { request: crossdock_common::RequestId(99), definition };
    let mut commands = [declare, Command::Publish(publish)].into();
    client.client.execute(world.now, &mut commands);
    client.client.finish(world.now, &mut commands);
    client.client.close(world.now);
    world.sync();
    world.instantly_durable = true;
    assert_eq!(world.client("u").drain(&world, "q"), ["x"]);
}

#[test]
fn durability_says_what_a_publisher_waits_for() {
    let mut world = World::new();
    let mut client = world.client("u");
    for durability in ["fsync", "os", "memory"] {
        client.queue(&world, durability, &[("x-durability", Value::string(durability))]);
    }
    world.sync();
    world.instantly_durable = false;
    for (number, queue) in (1..).zip(["fsync", "os", "memory"]) {
        client.publish_message(&world, message(&world, "", queue, queue), Some(number));
    }
    assert_eq!(client.confirmed(&world), [3], "memory is confirmed at once");
    for index in 0..super::support::SHARDS {
        let length = world.logs[index + 1].lock().all.len() as u64;
        world.broker.written(index, crate::Sequence(length), world.now);
    }
    assert_eq!(client.confirmed(&world), [3, 2], "os is confirmed once it is written");
    world.sync();
    assert_eq!(client.confirmed(&world), [3, 2, 1], "fsync is confirmed once it is synced");
    world.restart();
    let mut client = world.client("u");
    assert_eq!(client.drain(&world, "fsync"), ["fsync"]);
    assert_eq!(client.drain(&world, "os"), ["os"]);
    assert!(client.drain(&world, "memory").is_empty());
}
