//! Who wants to hear of queues by what they are called.

use crossdock_common::command::OpenSession;
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Command, ConsumerId, Event, Shared, Value};

use super::support::{Tester, World, queue_spec};
use crate::{Grant, Permissions};

fn follow(world: &World, client: &mut Tester, id: u64, pattern: &str) -> Vec<String> {
    let (follower, pattern) = (ConsumerId(id), pattern.to_owned().into());
    match client.request(world, |request| Command::FollowQueues { request, follower, pattern }) {
        Ok(Reply::Names(names)) => names.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// Queues that the client was told of, each with the follower's number.
fn told(world: &World, client: &mut Tester) -> Vec<(u64, String)> {
    client.hear(world);
    let made = |event| match event {
        Event::QueueMade { follower, queue } => Some((follower.0, queue.to_string())),
        _ => None,
    };
    client.events.drain(..).filter_map(made).collect()
}

fn delete(world: &World, client: &mut Tester, name: &str) {
    let delete = Definition::DeleteQueue { name: name.into(), if_unused: false, if_empty: false };
    client.define(world, delete).expect("deletes");
}

#[test]
fn queues_that_are_there_are_named_and_later_ones_are_told() {
    let world = World::new();
    let (mut maker, mut client) = (world.client("u"), world.client("u"));
    ["orders.eu", "orders.eu.north", "orders", "bills.eu"].iter().for_each(|name| maker.queue(&world, name, &[]));
    assert_eq!(follow(&world, &mut client, 1, "orders.#"), ["orders", "orders.eu", "orders.eu.north"]);
    assert_eq!(follow(&world, &mut client, 2, "*.eu"), ["bills.eu", "orders.eu"]);
    maker.queue(&world, "orders.us", &[]);
    maker.queue(&world, "orders.us", &[]);
    maker.queue(&world, "letters.eu", &[]);
    maker.queue(&world, "letters", &[]);
    assert_eq!(told(&world, &mut client), [(1, "orders.us".into()), (2, "letters.eu".into())]);
    delete(&world, &mut maker, "orders.us");
    maker.queue(&world, "orders.us", &[]);
    assert_eq!(told(&world, &mut client), [(1, "orders.us".into())], "it is another queue");
}

#[test]
fn queues_that_are_somebodys_own_are_not_told_of() {
    let world = World::new();
    let (mut maker, mut client) = (world.client("u"), world.client("u"));
    let session = || OpenSession {
        name: "s".into(),
        clean: true,
        expiry_ms: None,
        will: None,
        window: 10,
        consumer: ConsumerId(0),
        exchange: "amq.topic".into(),
        queue: Shared::default(),
    };
    let make = |maker: &mut Tester, ending: &str| {
        let exclusive = QueueSpec { exclusive: true, ..queue_spec(&format!("exclusive.{ending}"), &[]) };
        for spec in [exclusive, queue_spec("", &[])] {
            maker.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
        }
        maker.queue(&world, &format!("stream.{ending}"), &[("x-queue-type", Value::string("stream"))]);
        maker.queue(&world, &format!("session.{ending}"), &[]);
    };
    make(&mut maker, "before");
    let open = |request| Command::OpenSession { request, session: Box::new(session()) };
    world.client("u").request(&world, open).expect("opens");
    assert_eq!(
        follow(&world, &mut client, 1, "#"),
        ["session.before"],
        "only its name is like that of a session's queue"
    );
    make(&mut maker, "after");
    world.client("u").request(&world, open).expect("opens again");
    assert_eq!(told(&world, &mut client), [(1, "session.after".into())]);
}

#[test]
fn only_who_may_read_a_queue_hears_of_it() {
    let world = World::new();
    let mut permissions = Permissions::default();
    permissions.grant("maker".into(), "/".into(), Grant::new(".*", ".*", ".*").expect("valid"));
    permissions.grant("reader".into(), "/".into(), Grant::new("", "", "^open").expect("valid"));
    world.broker.set_permissions(permissions);
    let (mut maker, mut reader) = (world.client("maker"), world.client("reader"));
    ["open.1", "secret.1"].iter().for_each(|name| maker.queue(&world, name, &[]));
    assert_eq!(follow(&world, &mut reader, 1, "#"), ["open.1"]);
    ["secret.2", "open.2"].iter().for_each(|name| maker.queue(&world, name, &[]));
    assert_eq!(told(&world, &mut reader), [(1, "open.2".into())]);
}

#[test]
fn who_has_left_is_told_nothing_and_forgotten() {
    let world = World::new();
    let (mut maker, mut client) = (world.client("u"), world.client("u"));
    follow(&world, &mut client, 1, "#");
    follow(&world, &mut client, 2, "#");
    client.send(&world, Command::UnfollowQueues { follower: ConsumerId(1) });
    maker.queue(&world, "q", &[]);
    assert_eq!(told(&world, &mut client), [(2, "q".into())]);
    let followers = || world.broker.definitions().vhost(&"/".into()).expect("a vhost").followers.len();
    assert_eq!(followers(), 1);
    client.client.close(world.now);
    assert_eq!(followers(), 0);
}

/// A client that consumes from one queue after the other does not grow.
#[test]
fn a_consumer_whose_queue_was_deleted_is_forgotten() {
    let world = World::new();
    let (mut maker, mut client) = (world.client("u"), world.client("u"));
    for consumer in 1..4 {
        maker.queue(&world, "q", &[]);
        client.consume(&world, "q", consumer, 0).expect("consumes");
        delete(&world, &mut maker, "q");
        client.hear(&world);
    }
    assert_eq!(client.client.holdings_count(), 0);
}
