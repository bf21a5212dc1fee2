use crossdock_common::command::{Fetch, Lease, OpenSession, Publish};
use crossdock_common::definition::{Definition, ExchangeSpec, QueueSettings, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Command, ConsumerId, Event, Lane, Refusal, RequestId, Shared};

use super::support::{Tester, World, binding, fetch_retained, message, queue_spec};
use crate::{Grant, Permissions, TopicGrant};

/// A world where `reader` may only read `r-…`, and everything else is forbidden to him.
fn world() -> World {
    let world = World::new();
    let mut admin = world.client("admin");
    admin.queue(&world, "r-1", &[]);
    admin.queue(&world, "secret", &[]);
    let mut permissions = Permissions::default();
    permissions.grant("reader".into(), "/".into(), Grant::new("", "", "^r-").expect("valid"));
    world.broker.set_permissions(permissions);
    world
}

#[test]
fn every_path_asks() {
    let world = world();
    let mut reader = world.client("reader");
    let queue = |name: &str| QueueSpec { durable: true, ..queue_spec(name, &[]) };
    let exchange = ExchangeSpec {
        name: "amq.topic".into(),
        kind: "topic".into(),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: vec![],
        attributes: vec![],
    };
    let denied = [
        Definition::DeclareQueue { spec: queue("new"), passive: false },
        Definition::DeclareQueue { spec: queue(""), passive: false },
        Definition::DeclareQueue { spec: queue("secret"), passive: true },
        Definition::DeclareQueue { spec: queue("no such queue"), passive: true },
        Definition::DeclareExchange { spec: exchange.clone(), passive: false },
        Definition::DeclareExchange { spec: exchange, passive: true },
        Definition::DeleteQueue { name: "r-1".into(), if_unused: false, if_empty: false },
        Definition::DeleteExchange { name: "amq.topic".into(), if_unused: false },
        Definition::InspectQueue { name: "secret".into() },
        Definition::InspectExchange { name: "amq.topic".into() },
        Definition::Bind(binding("amq.topic", "r-1", "#")),
        Definition::Unbind(binding("amq.topic", "r-1", "#")),
    ];
    for definition in denied {
        let result = reader.define(&world, definition.clone());
        assert!(matches!(result, Err(Refusal::AccessRefused { .. })), "{definition:?}: {result:?}");
    }
    assert!(matches!(reader.consume(&world, "secret", 1, 0), Err(Refusal::AccessRefused { .. })));
    assert!(matches!(reader.purge(&world, "secret"), Err(Refusal::AccessRefused { .. })));
    reader.publish_message(&world, message(&world, "", "r-1", "m"), Some(1));
    assert!(
        reader
            .events
            .iter()
            .any(|event| { matches!(event, Event::PublishRefused { refusal: Refusal::AccessRefused { .. }, .. }) })
    );
    assert!(matches!(reader.request(&world, fetch_retained("#", None)), Err(Refusal::AccessRefused { .. })));
    let fetch = Fetch {
        lane: Lane(0),
        queue: "secret".into(),
        count_max: 1,
        presettled: true,
        lease: Lease::Connection,
        wait_ms: 0,
    };
    reader.send(&world, Command::Fetch { request: RequestId(99), fetch: Box::new(fetch) });
    assert!(reader.events.iter().any(|event| {
        matches!(event, Event::Reply { request: RequestId(99), result: Err(Refusal::AccessRefused { .. }) })
    }));
    reader.consume(&world, "r-1", 2, 0).expect("may read");
}

#[test]
fn a_right_that_is_taken_away_is_gone_at_once() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "", "q", "1");
    world.broker.set_permissions(Permissions::default());
    client.publish(&world, "", "q", "2");
    assert!(client.events.iter().any(|event| matches!(event, Event::PublishRefused { .. })));
}

#[test]
fn an_exclusive_queue_is_changed_by_its_owner_only() {
    let world = World::new();
    let mut owner = world.client("u");
    let spec = QueueSpec { exclusive: true, ..queue_spec("mine", &[]) };
    owner.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    let change = || Definition::UpdateQueue {
        name: "mine".into(),
        settings: QueueSettings { length_max: Some(0), ..Default::default() }.into(),
        attributes: vec![],
    };
    let refused = world.client("u").define(&world, change());
    assert!(matches!(refused, Err(Refusal::ResourceLocked { .. })), "{refused:?}");
    owner.define(&world, change()).expect("changes");
}

/// A session of `reader`, bound to everything.
fn session(world: &World) -> Tester {
    let mut reader = world.client("reader");
    let (name, clean, expiry_ms, consumer) = ("s".into(), false, None, ConsumerId(0));
    let (exchange, queue) = ("amq.topic".into(), Shared::default());
    let session = OpenSession { name, clean, expiry_ms, will: None, window: 10, consumer, exchange, queue };
    let open = |request| Command::OpenSession { request, session: Box::new(session) };
    let Ok(Reply::Session(info)) = reader.request(world, open) else { panic!("no session") };
    if !info.present {
        reader.bind(world, "amq.topic", &info.queue, "#");
    }
    reader
}

/// `reader` may read these topics, and everybody may do everything else.
fn topics(read: &str) -> Permissions {
    let mut permissions = Permissions::default();
    for user in ["admin", "reader"] {
        permissions.grant(user.into(), "/".into(), Grant::new(".*", ".*", ".*").expect("valid"));
    }
    permissions.grant_topics(
        "reader".into(),
        "/".into(),
        "amq.topic".into(),
        TopicGrant::new(".*", read).expect("valid"),
    );
    permissions
}

#[test]
fn mq_11_queued_and_live_messages_are_asked_for_again_when_they_are_delivered() {
    let world = World::new();
    session(&world).client.close(world.now);
    let mut admin = world.client("admin");
    admin.publish(&world, "amq.topic", "open.1", "queued");
    admin.publish(&world, "amq.topic", "secret.1", "queued secret");
    world.sync();
    world.broker.set_permissions(topics("^open"));
    let mut reader = session(&world);
    assert_eq!(reader.bodies(&world), ["queued"]);
    admin.publish(&world, "amq.topic", "secret.2", "live secret");
    admin.publish(&world, "amq.topic", "open.2", "live");
    world.sync();
    assert_eq!(reader.bodies(&world), ["live"]);
    world.broker.set_permissions(topics("."));
    admin.publish(&world, "amq.topic", "secret.3", "again");
    world.sync();
    assert_eq!(reader.bodies(&world), ["again"]);
    let mut nothing = topics(".");
    nothing.grant("reader".into(), "/".into(), Grant::new(".*", ".*", "^session").expect("valid"));
    world.broker.set_permissions(nothing);
    admin.publish(&world, "amq.topic", "open.3", "not any more");
    world.sync();
    assert!(reader.bodies(&world).is_empty(), "the exchange may not be read at all");
}

#[test]
fn mq_11_retained_messages_are_those_that_may_be_read() {
    let world = World::new();
    let mut admin = world.client("admin");
    for key in ["open.1", "secret.1"] {
        let message = std::sync::Arc::new(message(&world, "amq.topic", key, key));
        let lane = Lane(0);
        let publish = Publish { lane, confirm: None, message, mandatory: false, retain: true, exactly_once: None };
        admin.send(&world, Command::Publish(publish));
    }
    world.sync();
    let keys = |world: &World| match world.client("reader").request(world, fetch_retained("#", None)) {
        Ok(Reply::Retained(found)) => {
            found.messages.iter().map(|message| message.routing_key.clone()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(keys(&world).len(), 2);
    world.broker.set_permissions(topics("^open"));
    assert_eq!(keys(&world), ["open.1"]);
}
