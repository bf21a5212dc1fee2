use std::sync::Arc;

use crossdock_common::command::{OpenSession, Outcome, Publish, Will};
use crossdock_common::definition::{BindingSpec, Definition, Overflow, QueueSettings};
use crossdock_common::event::{Reply, SessionInfo};
use crossdock_common::{Command, ConsumerId, Event, Lane, Refusal, RequestId, Shared};

use super::support::{Tester, World, binding, fetch_retained, message};
use crate::{Grant, Partition, Permissions, cost_bytes};

fn open(
    world: &World,
    client: &mut Tester,
    clean: bool,
    expiry_ms: Option<u64>,
    will: Option<Box<Will>>,
) -> Box<SessionInfo> {
    try_open(world, client, clean, expiry_ms, will).expect("opens")
}

fn try_open(
    world: &World,
    client: &mut Tester,
    clean: bool,
    expiry_ms: Option<u64>,
    will: Option<Box<Will>>,
) -> Result<Box<SessionInfo>, Refusal> {
    let session = OpenSession {
        name: "s".into(),
        clean,
        expiry_ms,
        will,
        window: 10,
        consumer: ConsumerId(0),
        exchange: "amq.topic".into(),
        queue: Shared::default(),
    };
    let reply = client.request(world, |request| Command::OpenSession { request, session: Box::new(session) })?;
    match reply {
        Reply::Session(info) => Ok(info),
        other => panic!("{other:?}"),
    }
}

fn will(world: &World, delay_ms: u64) -> Option<Box<Will>> {
    let message = Arc::new(message(world, "amq.topic", "will", "goodbye"));
    let publish =
        Publish { lane: Lane(0), confirm: None, message, mandatory: false, retain: false, exactly_once: None };
    Some(Box::new(Will { publish, delay_ms }))
}

#[test]
fn a_session_keeps_its_messages_bindings_and_state_over_a_restart() {
    let mut world = World::new();
    let mut client = world.client("u");
    let info = open(&world, &mut client, false, None, None);
    assert!(!info.present);
    client.bind(&world, "amq.topic", &info.queue, "a.*");
    client
        .request(&world, |request| Command::SessionState {
            request: Some(request),
            key: "k".into(),
            value: Some("v".into()),
        })
        .expect("keeps");
    client.client.close(world.now);
    world.client("u").publish(&world, "amq.topic", "a.b", "missed");
    world.restart();
    let mut client = world.client("u");
    let info = open(&world, &mut client, false, None, None);
    assert!(info.present);
    assert_eq!((info.bindings.len(), info.state.len()), (1, 1));
    assert_eq!(client.bodies(&world), ["missed"]);
}

#[test]
fn taking_over_moves_the_messages_and_tells_the_old_connection() {
    let world = World::new();
    let (mut old, mut new) = (world.client("u"), world.client("u"));
    let info = open(&world, &mut old, false, Some(60_000), None);
    old.bind(&world, "amq.topic", &info.queue, "#");
    world.client("u").publish(&world, "amq.topic", "x", "m");
    assert_eq!(old.bodies(&world), ["m"]);
    assert!(open(&world, &mut new, false, Some(60_000), None).present);
    old.hear(&world);
    assert!(old.events.iter().any(|event| matches!(event, Event::TakenOver)));
    let again = new.deliveries(&world);
    assert_eq!(again[0].delivery_count, 1);
    old.client.close(world.now);
    world.client("u").publish(&world, "amq.topic", "x", "n");
    assert_eq!(new.bodies(&world), ["n"], "the old connection's end does not hurt the session");
    let mut stranger = world.client("somebody else");
    assert!(matches!(try_open(&world, &mut stranger, true, None, None), Err(Refusal::Forbidden(_))));
}

#[test]
fn a_clean_session_forgets_and_an_expired_one_is_gone() {
    let mut world = World::new();
    let mut client = world.client("u");
    let info = open(&world, &mut client, false, Some(1_000), None);
    client.bind(&world, "amq.topic", &info.queue, "#");
    client.client.close(world.now);
    world.advance_ms(999);
    let mut client = world.client("u");
    assert!(open(&world, &mut client, false, Some(1_000), None).present);
    client.client.close(world.now);
    world.advance_ms(1_001);
    let mut client = world.client("u");
    let gone = client.define(&world, Definition::InspectQueue { name: info.queue.clone() });
    assert!(matches!(gone, Err(Refusal::NotFound { .. })));
    let info = open(&world, &mut client, true, Some(0), None);
    client.client.close(world.now);
    let mut client = world.client("u");
    assert!(client.define(&world, Definition::InspectQueue { name: info.queue }).is_err());
}

#[test]
fn wills_are_sent_delayed_discarded_and_cancelled() {
    let mut world = World::new();
    let mut watcher = world.client("u");
    watcher.queue(&world, "wills", &[]);
    watcher.bind(&world, "amq.topic", "wills", "will");
    let mut count = |world: &World| {
        world.sync();
        watcher.drain(world, "wills").len()
    };

    let mut client = world.client("u");
    open(&world, &mut client, true, Some(0), will(&world, 0));
    client.client.close(world.now);
    assert_eq!(count(&world), 1, "at once");

    let mut client = world.client("u");
    open(&world, &mut client, true, Some(0), will(&world, 0));
    client.send(&world, Command::DiscardWill);
    client.client.close(world.now);
    assert_eq!(count(&world), 0, "discarded");

    let mut client = world.client("u");
    open(&world, &mut client, false, Some(10_000), will(&world, 1_000));
    client.client.close(world.now);
    world.advance_ms(500);
    assert_eq!(count(&world), 0, "delayed");
    let mut client = world.client("u");
    open(&world, &mut client, false, Some(10_000), will(&world, 1_000));
    world.advance_ms(1_000);
    assert_eq!(count(&world), 0, "cancelled by coming back");
    client.client.close(world.now);
    world.advance_ms(1_000);
    assert_eq!(count(&world), 1, "due");
}

#[test]
fn retained_messages_are_kept_replaced_and_forgotten() {
    let mut world = World::new();
    let mut client = world.client("u");
    let retain = |world: &World, client: &mut Tester, key: &str, body: &str, confirm| {
        let message = Arc::new(message(world, "amq.topic", key, body));
        let publish = Publish {
            lane: Lane(0),
            confirm: Some(confirm),
            message,
            mandatory: false,
            retain: true,
            exactly_once: None,
        };
        client.send(world, Command::Publish(publish));
    };
    for (confirm, (key, body)) in [("a.b", "1"), ("a.c", "2"), ("a.b", "3"), ("x", "4"), ("x", "")].iter().enumerate() {
        retain(&world, &mut client, key, body, confirm as u64);
    }
    assert_eq!(client.confirmed(&world).len(), 5);
    world.restart();
    let mut client = world.client("u");
    let Ok(Reply::Retained(found)) = client.request(&world, fetch_retained("#", None)) else { panic!("no answer") };
    let mut bodies: Vec<_> = found.messages.iter().map(|message| message.body.clone()).collect();
    bodies.sort();
    assert_eq!(bodies, ["2", "3"]);
}

#[test]
fn many_retained_messages_come_a_few_at_a_time_and_each_once() {
    let world = World::new();
    let mut client = world.client("u");
    for number in 0..3_000 {
        let message = Arc::new(message(&world, "amq.topic", &format!("a.{}.{number}", number % 3), "x"));
        let publish =
            Publish { lane: Lane(0), confirm: None, message, mandatory: false, retain: true, exactly_once: None };
        client.send(&world, Command::Publish(publish));
    }
    for (pattern, count) in [("#", 3_000), ("a.1.#", 1_000), ("*.2.*", 1_000), ("a.1.4", 1), ("a.1", 0), ("b.#", 0)] {
        let (mut keys, mut next) = (Vec::new(), None);
        loop {
            let answer = client.request(&world, fetch_retained(pattern, next));
            let Ok(Reply::Retained(found)) = answer else { panic!("{answer:?}") };
            assert!(found.messages.len() <= 512, "{}", found.messages.len());
            keys.extend(found.messages.iter().map(|message| message.routing_key.clone()));
            next = found.next.clone();
            let event = Event::Reply { request: RequestId(0), result: Ok(Reply::Retained(found)) };
            client.client.written(world.now, cost_bytes(&event));
            if next.is_none() {
                break;
            }
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "{pattern}");
    }
}

#[test]
fn a_session_whose_time_was_cut_to_nothing_is_gone_after_a_restart() {
    let mut world = World::new();
    let mut client = world.client("u");
    open(&world, &mut client, false, None, None);
    client.send(&world, Command::SessionExpiry { expiry_ms: Some(0) });
    client.client.close(world.now);
    world.restart();
    let mut client = world.client("u");
    assert!(!open(&world, &mut client, false, None, None).present);
}

#[test]
fn a_session_whose_time_was_cut_to_nothing_is_gone_after_a_crash() {
    let mut world = World::new();
    let mut client = world.client("u");
    open(&world, &mut client, false, None, None);
    client.send(&world, Command::SessionExpiry { expiry_ms: Some(0) });
    world.restart();
    let mut client = world.client("u");
    assert!(!open(&world, &mut client, false, None, None).present);
}

#[test]
fn a_session_whose_queue_was_deleted_begins_anew() {
    let world = World::new();
    let mut client = world.client("u");
    let info = open(&world, &mut client, false, None, None);
    client.client.close(world.now);
    let delete = Definition::DeleteQueue { name: info.queue, if_unused: false, if_empty: false };
    world.client("u").define(&world, delete).expect("deletes");
    let mut client = world.client("u");
    assert!(!open(&world, &mut client, false, None, None).present);
}

#[test]
fn a_snapshot_keeps_the_binding_of_a_message_that_waits_for_the_log() {
    let mut world = World::new();
    let mut client = world.client("u");
    let info = open(&world, &mut client, false, None, None);
    let announced = BindingSpec { announced: true, ..binding("amq.topic", &info.queue, "a") };
    client.define(&world, Definition::Bind(announced)).expect("binds");
    client.client.close(world.now);
    let mut publisher = world.client("u");
    world.instantly_durable = false;
    publisher.publish(&world, "amq.topic", "a", "x");
    world.snapshot();
    world.restart();
    let mut client = world.client("u");
    open(&world, &mut client, false, None, None);
    let deliveries = client.deliveries(&world);
    assert!(deliveries.len() == 1 && deliveries[0].binding.is_some(), "{deliveries:?}");
}

#[test]
fn the_number_of_a_binding_is_not_given_again_after_a_snapshot() {
    let mut world = World::new();
    let mut client = world.client("u");
    let info = open(&world, &mut client, false, None, None);
    let announced = |key: &str| BindingSpec { announced: true, ..binding("amq.topic", &info.queue, key) };
    client.define(&world, Definition::Bind(announced("a"))).expect("binds");
    client.client.close(world.now);
    let mut other = world.client("u");
    other.publish(&world, "amq.topic", "a", "x");
    other.define(&world, Definition::Unbind(announced("a"))).expect("unbinds");
    world.snapshot();
    world.restart();
    let mut other = world.client("u");
    other.define(&world, Definition::Bind(announced("b"))).expect("binds");
    world.restart();
    let mut client = world.client("u");
    open(&world, &mut client, false, None, None);
    let deliveries = client.deliveries(&world);
    assert!(deliveries.len() == 1 && deliveries[0].binding.is_none(), "it came through a binding that is gone");
}

#[test]
fn sessions_that_nobody_publishes_to_come_and_go_without_making_others_look_up_their_routes() {
    let mut world = World::new();
    let before = world.broker.version();
    for expiry_ms in [Some(0), Some(1_000)] {
        let mut client = world.client("u");
        open(&world, &mut client, true, expiry_ms, None);
        client.client.close(world.now);
        world.advance_ms(2_000);
    }
    assert_eq!(world.broker.version(), before);
    let mut client = world.client("u");
    let info = open(&world, &mut client, true, Some(0), None);
    client.bind(&world, "amq.topic", &info.queue, "#");
    let bound = world.broker.version();
    client.client.close(world.now);
    assert!(bound > before && world.broker.version() > bound, "routes to its queue are gone");
}

#[test]
fn the_deadline_is_that_of_the_session_or_will_that_is_next() {
    let mut world = World::new();
    let deadline_ms = |world: &World| {
        let deadline = world.broker.deadline(Partition::Definitions);
        deadline.map(|at| (at.0 - world.now.instant.0) / 1_000)
    };
    let named = |world: &World, name: &str, expiry_ms: u64, will: Option<Box<Will>>| {
        let mut client = world.client("u");
        let expiry_ms = Some(expiry_ms);
        let session = OpenSession {
            name: name.into(),
            clean: false,
            expiry_ms,
            will,
            window: 1,
            consumer: ConsumerId(0),
            exchange: "amq.topic".into(),
            queue: Shared::default(),
        };
        client.request(world, |request| Command::OpenSession { request, session: Box::new(session) }).expect("opens");
        client
    };
    let (late, soon) = (named(&world, "late", 5_000, None), named(&world, "soon", 3_000, will(&world, 1_000)));
    assert_eq!(deadline_ms(&world), None, "nothing is due while they are connected");
    late.client.close(world.now);
    assert_eq!(deadline_ms(&world), Some(5_000));
    soon.client.close(world.now);
    assert_eq!(deadline_ms(&world), Some(1_000), "the will");
    world.advance_ms(1_000);
    assert_eq!(deadline_ms(&world), Some(2_000), "the end of the same session");
    let soon = named(&world, "soon", 3_000, None);
    assert_eq!(deadline_ms(&world), Some(4_000), "it was resumed");
    soon.client.close(world.now);
    world.advance_ms(3_000);
    assert_eq!(deadline_ms(&world), Some(1_000), "it has ended");
    world.advance_ms(1_000);
    assert_eq!(deadline_ms(&world), None);
    drop(named(&world, "kept", 7_000, None));
    world.restart();
    assert_eq!(deadline_ms(&world), Some(7_000), "a restart is an end of the connection");
}

#[test]
fn nobody_is_told_of_a_session_that_a_crash_could_still_take() {
    let mut world = World::new();
    let (mut first, mut second) = (world.client("u"), world.client("u"));
    world.instantly_durable = false;
    let told = |world: &World, client: &mut Tester| {
        client.hear(world);
        client.events.iter().any(|event| matches!(event, Event::Reply { .. }))
    };
    for client in [&mut first, &mut second] {
        let (name, clean, expiry_ms, consumer) = ("s".into(), false, None, ConsumerId(0));
        let session = Box::new(OpenSession {
            name,
            clean,
            expiry_ms,
            will: None,
            window: 1,
            consumer,
            exchange: "amq.topic".into(),
            queue: Shared::default(),
        });
        client.send(&world, Command::OpenSession { request: RequestId(9), session });
        assert!(!told(&world, client));
    }
    world.sync();
    assert!(told(&world, &mut first) && told(&world, &mut second));
}

#[test]
fn a_session_that_lost_its_right_to_read_gets_no_run_either() {
    let world = World::new();
    let (mut client, mut other) = (world.client("u"), world.client("other"));
    let info = open(&world, &mut client, true, None, None);
    client.bind(&world, "amq.topic", &info.queue, "a.*");
    let numbers: Vec<String> = (0..9).map(|number| number.to_string()).collect();
    let publish = |other: &mut Tester| {
        other.publish(&world, "amq.topic", "a.b", "single");
        other.publish_run(&world, ("amq.topic", "a.b"), false, &numbers, None);
    };
    publish(&mut other);
    let before = client.deliveries(&world);
    assert_eq!(before.len(), 10);
    client.settle(&world, &before, Outcome::Accepted);
    let mut permissions = Permissions::default();
    permissions.grant("other".into(), "/".into(), Grant::new("", ".*", "").expect("valid"));
    world.broker.set_permissions(permissions);
    publish(&mut other);
    assert!(client.deliveries(&world).is_empty());
    let counts = world.broker.counts();
    assert_eq!((counts.ready, counts.unsettled), (0, 0), "they are rejected");
}

/// A session whose queue is bounded, and which somebody publishes to.
fn bounded(world: &World, queue: QueueSettings) -> Tester {
    let mut client = world.client("u");
    let (name, clean, expiry_ms, consumer) = ("s".into(), false, None, ConsumerId(0));
    let exchange = "amq.topic".into();
    let session =
        OpenSession { name, clean, expiry_ms, will: None, window: 10, consumer, exchange, queue: queue.into() };
    let open = |request| Command::OpenSession { request, session: Box::new(session) };
    let Ok(Reply::Session(info)) = client.request(world, open) else { panic!("no session") };
    client.bind(world, "amq.topic", &info.queue, "#");
    client
}

fn publish_offline(world: &World, bodies: &[&str]) {
    let mut publisher = world.client("u");
    bodies.iter().for_each(|body| publisher.publish(world, "amq.topic", "x", body));
    world.sync();
}

#[test]
fn a_session_s_queue_keeps_its_bounds_over_a_restart() {
    let bounds = QueueSettings { length_max: Some(2), ..QueueSettings::default() };
    let mut world = World::new();
    bounded(&world, bounds.clone()).client.close(world.now);
    world.restart();
    publish_offline(&world, &["1", "2", "3"]);
    assert_eq!(bounded(&world, bounds).bodies(&world), ["2", "3"], "the oldest went");
    let bounds = QueueSettings { bytes_max: Some(4), ..QueueSettings::default() };
    bounded(&world, bounds.clone()).client.close(world.now);
    world.restart();
    let mut client = bounded(&world, bounds.clone());
    client.bodies(&world);
    client.client.close(world.now);
    publish_offline(&world, &["abc", "de", "fg"]);
    let found: Vec<_> = bounded(&world, bounds).bodies(&world);
    assert!(found.ends_with(&["de".into(), "fg".into()]) && !found.contains(&"abc".into()), "{found:?}");
}

#[test]
fn the_bounds_of_a_session_s_queue_change_when_it_is_resumed() {
    let world = World::new();
    bounded(&world, QueueSettings::default()).client.close(world.now);
    publish_offline(&world, &["1", "2", "3"]);
    let bounds = QueueSettings { length_max: Some(1), ..QueueSettings::default() };
    bounded(&world, bounds.clone()).client.close(world.now);
    publish_offline(&world, &["4"]);
    assert_eq!(bounded(&world, bounds).bodies(&world), ["4"]);
}

#[test]
fn a_session_s_queue_lets_messages_go_that_are_too_old() {
    let bounds = QueueSettings { message_ttl_ms: Some(1_000), ..QueueSettings::default() };
    let mut world = World::new();
    bounded(&world, bounds.clone()).client.close(world.now);
    publish_offline(&world, &["old"]);
    world.advance_ms(1_001);
    publish_offline(&world, &["new"]);
    assert_eq!(bounded(&world, bounds).bodies(&world), ["new"]);
}

#[test]
fn a_full_session_may_refuse_what_is_new() {
    let overflow = Some(Overflow::RejectPublish);
    let bounds = QueueSettings { length_max: Some(1), overflow, ..QueueSettings::default() };
    let world = World::new();
    bounded(&world, bounds.clone()).client.close(world.now);
    let mut publisher = world.client("u");
    for (confirm, body) in ["1", "2"].into_iter().enumerate() {
        let (message, confirm) = (Arc::new(message(&world, "amq.topic", "x", body)), Some(confirm as u64));
        let lane = Lane(0);
        let publish = Publish { lane, confirm, message, mandatory: false, retain: false, exactly_once: None };
        publisher.send(&world, Command::Publish(publish));
    }
    world.sync();
    publisher.hear(&world);
    let refused = |event: &Event| matches!(event, Event::Rejected { confirm: 1, .. });
    assert!(publisher.events.iter().any(refused), "{:?}", publisher.events);
    assert_eq!(bounded(&world, bounds).bodies(&world), ["1"]);
}
