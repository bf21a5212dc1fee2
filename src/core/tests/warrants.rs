//! What a warrant lets a connection do, and what it does not.

use crossdock_common::command::Lease;
use crossdock_common::definition::{Definition, Kept, QueueSettings, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::refusal::Resource;
use crossdock_common::warrant::Right;
use crossdock_common::{Command, Event, Name, Refusal, Text, Value, Warrant};

use super::support::{Tester, World, binding, message};
use crate::{Grant, Permissions};

const LEASE: Lease = Lease::Timed { lease_ms: 30_000 };

/// Queues `q` and `other` with a message each and a topic `t` in `/`. `guest` has no permission there and all in `home`; `poor` may enter `/`
/// and has a queue `mine`.
fn world() -> World {
    let world = World::new();
    world.broker.add_vhost(&"home".into());
    let mut admin = world.client("admin");
    for queue in ["q", "other", "mine"] {
        admin.queue(&world, queue, &[]);
        admin.publish(&world, "", queue, "m");
    }
    admin.exchange(&world, "t", "fanout", &[]);
    let mut permissions = Permissions::default();
    permissions.grant("guest".into(), "home".into(), Grant::new(".*", ".*", ".*").expect("valid"));
    permissions.grant("poor".into(), "/".into(), Grant::new("", "^mine$", "^mine$").expect("valid"));
    world.broker.set_permissions(permissions);
    world
}

fn warrant(resource: Resource, name: &str, right: Right) -> Warrant {
    Warrant { vhost: "/".into(), resource, name: name.into(), right }
}

fn open(world: &World, tester: &mut Tester, vhost: &str) -> Result<Reply, Refusal> {
    tester.request(world, |request| Command::Open { request, vhost: vhost.into() })
}

/// Somebody with these warrants, who has entered `/`.
fn holder(world: &World, user: &str, warrants: &[Warrant]) -> Tester {
    let mut tester = world.stranger();
    let principal = crossdock_common::event::Principal { name: user.into(), tags: Vec::new() };
    tester.client.authenticated(crossdock_common::RequestId(0), principal);
    warrants.iter().for_each(|warrant| tester.client.allow(warrant.clone()));
    open(world, &mut tester, "/").expect("a warrant leads there");
    tester
}

/// What is done with a queue or exchange, and whether it was not refused.
fn look(world: &World, tester: &mut Tester, name: &str) -> bool {
    tester.define(world, Definition::InspectQueue { name: name.into() }).is_ok()
}

fn reads(world: &World, tester: &mut Tester, queue: &str) -> bool {
    tester.events.clear();
    tester.fetch(world, queue, 1, LEASE).len() == 1
}

fn writes(world: &World, tester: &mut Tester, exchange: &str, key: &str) -> bool {
    tester.events.clear();
    tester.publish_message(world, message(world, exchange, key, "x"), Some(1));
    !tester.events.iter().any(|event| matches!(event, Event::PublishRefused { .. }))
}

#[test]
fn each_right_is_for_one_thing_with_one_resource() {
    for user in ["guest", "poor"] {
        for (right, expected) in [
            (Right::Look, [true, false, false]),
            (Right::Read, [true, true, false]),
            (Right::Write, [true, false, true]),
            (Right::Keep, [true, false, false]),
        ] {
            let world = world();
            let mut one = holder(&world, user, &[warrant(Resource::Queue, "q", right)]);
            let found = [look(&world, &mut one, "q"), reads(&world, &mut one, "q"), writes(&world, &mut one, "", "q")];
            assert_eq!(found, expected, "{user} {right:?}");
            assert!(!look(&world, &mut one, "other") && !writes(&world, &mut one, "", "other"));
            assert!(one.purge(&world, "other").is_err() && !writes(&world, &mut one, "t", "q"));
            assert!(one.consume(&world, "other", 1, 0).is_err());
        }
    }
}

#[test]
fn a_topic_is_published_to_or_read_from() {
    let world = world();
    let inspect = || Definition::InspectExchange { name: "t".into() };
    let list = || Definition::ListBindings { source: Some("t".into()) };
    let mut publisher = holder(&world, "guest", &[warrant(Resource::Exchange, "t", Right::Write)]);
    assert!(writes(&world, &mut publisher, "t", "any") && !writes(&world, &mut publisher, "", "q"));
    assert!(publisher.define(&world, inspect()).is_ok() && publisher.define(&world, list()).is_ok());
    let mut subscriber = holder(&world, "poor", &[warrant(Resource::Exchange, "t", Right::Read)]);
    assert!(!writes(&world, &mut subscriber, "t", "any"));
    assert!(subscriber.define(&world, Definition::Bind(binding("t", "q", ""))).is_err(), "not his queue");
    assert!(subscriber.define(&world, Definition::Bind(binding("amq.fanout", "mine", ""))).is_err());
    subscriber.define(&world, Definition::Bind(binding("t", "mine", ""))).expect("his queue, a topic he may read");
    subscriber.define(&world, Definition::Unbind(binding("t", "mine", ""))).expect("what he may bind");
    assert!(subscriber.define(&world, Definition::Unbind(binding("t", "q", ""))).is_err(), "not his queue");
}

#[test]
fn no_warrant_changes_anything() {
    let world = world();
    let all = [Right::Look, Right::Read, Right::Write];
    let queue = all.map(|right| warrant(Resource::Queue, "q", right));
    let topic = all.map(|right| warrant(Resource::Exchange, "t", right));
    let mut one = holder(&world, "guest", &[queue, topic].concat());
    let settings = QueueSettings::default().into();
    let changes = [
        Definition::UpdateQueue { name: "q".into(), settings, attributes: Vec::new() },
        Definition::DeleteQueue { name: "q".into(), if_unused: false, if_empty: false },
        Definition::UpdateExchange { name: "t".into(), attributes: Vec::new() },
        Definition::DeleteExchange { name: "t".into(), if_unused: false },
        Definition::Bind(binding("t", "q", "")),
        Definition::SetDocument { name: "t".into(), document: None },
        Definition::ListMoves { source: "q".into() },
    ];
    for change in changes {
        let result = one.define(&world, change.clone());
        assert!(matches!(result, Err(Refusal::AccessRefused { .. })), "{change:?}: {result:?}");
    }
}

/// What SNS does for a subscription of another account, and nothing beside it.
#[test]
fn a_kept_queue_is_made_bound_and_deleted() {
    let world = world();
    let kept = [warrant(Resource::Queue, "new", Right::Keep), warrant(Resource::Exchange, "t", Right::Read)];
    let mut one = holder(&world, "guest", &kept);
    let declared = |name: &str| QueueSpec { name: name.into(), durable: true, ..QueueSpec::default() };
    let declare = |spec| Definition::DeclareQueue { spec, passive: false };
    let delete = |name: &str| Definition::DeleteQueue { name: name.into(), if_unused: false, if_empty: false };
    let update = |name: &str| {
        let settings = QueueSettings::default().into();
        Definition::UpdateQueue { name: name.into(), settings, attributes: Vec::new() }
    };
    let refuses = |one: &mut Tester, change: Definition| {
        let result = one.define(&world, change.clone());
        assert!(matches!(result, Err(Refusal::AccessRefused { .. })), "{change:?}: {result:?}");
    };
    let letters = (Text::from_static("x-dead-letter-exchange"), Value::string("t"));
    refuses(&mut one, declare(QueueSpec { arguments: vec![letters], ..declared("new") }));
    refuses(&mut one, declare(declared("another")));
    one.define(&world, declare(declared("new"))).expect("his to make");
    one.define(&world, declare(declared("new"))).expect("again");
    let bind = Definition::Bind(binding("t", "new", ""));
    let change = Some(Box::new(bind.clone()));
    let kept = Kept::Binding { binding: binding("t", "new", ""), attributes: None };
    one.define(&world, Definition::IfKept { kept, change }).expect("a topic he may read");
    one.define(&world, bind).expect("again");
    for change in [
        Definition::Bind(binding("amq.fanout", "new", "")),
        Definition::Bind(binding("t", "q", "")),
        delete("q"),
        update("new"),
        update("q"),
    ] {
        refuses(&mut one, change);
    }
    assert!(!reads(&world, &mut one, "new") && !writes(&world, &mut one, "", "new"));
    one.define(&world, Definition::Unbind(binding("t", "new", ""))).expect("what he bound");
    one.define(&world, delete("new")).expect("his to delete");
}

#[test]
fn a_guest_sees_nothing_else_of_the_vhost() {
    let world = world();
    let lists = || {
        [
            Definition::ListQueues { prefix: Default::default(), after: None, count_max: 10 },
            Definition::ListBindings { source: None },
            Definition::ListBindings { source: Some("amq.topic".into()) },
        ]
    };
    let write = warrant(Resource::Queue, "q", Right::Write);
    let mut guest = holder(&world, "guest", std::slice::from_ref(&write));
    assert!(lists().into_iter().all(|list| guest.define(&world, list).is_err()));
    let names = warrant(Resource::Vhost, "/", Right::Look);
    let mut guest = holder(&world, "guest", &[write.clone(), names]);
    let found = lists().map(|list| guest.define(&world, list).is_ok());
    assert_eq!(found, [true, false, false]);
    let mut poor = holder(&world, "poor", &[write]);
    assert!(lists().into_iter().all(|list| poor.define(&world, list).is_ok()), "who is no guest sees names");
}

#[test]
fn a_warrant_is_its_connections_and_its_vhosts() {
    let world = world();
    let elsewhere = Warrant { vhost: "home".into(), ..warrant(Resource::Queue, "q", Right::Read) };
    let principal = |name: &str| crossdock_common::event::Principal { name: name.into(), tags: Vec::new() };
    let mut one = world.stranger();
    one.client.authenticated(crossdock_common::RequestId(0), principal("guest"));
    one.client.allow(elsewhere);
    assert!(matches!(open(&world, &mut one, "/"), Err(Refusal::VhostRefused { .. })));
    open(&world, &mut one, "home").expect("his own");
    let with = holder(&world, "guest", &[warrant(Resource::Queue, "q", Right::Read)]);
    let mut without = world.stranger();
    without.client.authenticated(crossdock_common::RequestId(0), principal("guest"));
    assert!(open(&world, &mut without, "/").is_err(), "another connection of the same user");
    drop(with);
    let mut poor = holder(&world, "poor", &[]);
    assert!(!reads(&world, &mut poor, "q") && reads(&world, &mut poor, "mine"));
}

#[test]
fn a_name_of_several_keys_needs_a_warrant_for_each() {
    let world = world();
    let mut one = holder(&world, "guest", &[warrant(Resource::Queue, "q", Right::Write)]);
    let mut copied = message(&world, "", "q", "x");
    copied.rare_mut().extra_keys = vec![bytes::Bytes::from_static(b"other")];
    one.publish_message(&world, copied, Some(7));
    assert!(one.events.iter().any(|event| matches!(event, Event::PublishRefused { .. })));
    let long = Name::from("x".repeat(300));
    assert!(!writes(&world, &mut one, "", &long));
}
