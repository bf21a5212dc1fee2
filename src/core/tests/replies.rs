use crossdock_common::command::{BoundedBy, Subscribe};
use crossdock_common::definition::{Definition, Inner, QueueSettings, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Command, ConsumerId, Event, Lane, Name, Refusal};

use super::support::{Tester, World, binding, message, queue_spec};
use crate::permissions::{Grant, Permissions};

const ADDRESS: &str = "amq.rabbitmq.reply-to.secret";

fn declare(name: &str, inner: Option<Inner>) -> Definition {
    let settings = QueueSettings { inner, ..QueueSettings::default() };
    let spec = QueueSpec { exclusive: true, auto_delete: true, settings: settings.into(), ..queue_spec(name, &[]) };
    Definition::DeclareQueue { spec, passive: false }
}

fn listen(world: &World, client: &mut Tester) {
    client.define(world, declare(ADDRESS, Some(Inner::Replies))).expect("declares");
    let subscribe = Box::new(Subscribe {
        consumer: ConsumerId(1),
        lane: Lane(0),
        queue: ADDRESS.into(),
        presettled: true,
        exclusive: false,
        priority: 0,
        window: 0,
        bounded_by: BoundedBy::Peer,
        arguments: vec![],
    });
    client.request(world, |request| Command::Subscribe { request, subscribe }).expect("consumes");
}

fn ask_for(name: &str) -> Definition {
    Definition::DeclareQueue { spec: queue_spec(name, &[]), passive: true }
}

fn returned(client: &Tester) -> usize {
    client.events.iter().filter(|event| matches!(event, Event::Unroutable { mandatory: true, .. })).count()
}

#[test]
fn an_address_is_in_no_list() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.define(&world, declare(ADDRESS, Some(Inner::Replies))).expect("declares");
    assert_eq!(world.broker.queue_names(&"/".into()).expect("a vhost"), [Name::from("q")]);
}

#[test]
fn a_reply_reaches_the_one_who_asked_while_it_is_there() {
    let world = World::new();
    let mut grants = Permissions::default();
    let nothing_but_publishing = Grant::new("", "^amq\\.default$", "").expect("valid");
    for user in ["asks", "answers"] {
        grants.grant(user.into(), "/".into(), nothing_but_publishing.clone());
    }
    world.broker.set_permissions(grants);
    let (mut asks, mut answers) = (world.client("asks"), world.client("answers"));
    listen(&world, &mut asks);
    let Ok(Reply::Queue { ready: 0, consumers: 1, .. }) = answers.define(&world, ask_for(ADDRESS)) else {
        panic!("it is there")
    };
    for body in ["1", "2"] {
        answers.publish(&world, "", ADDRESS, body);
    }
    assert_eq!(asks.bodies(&world), ["1", "2"]);
    assert_eq!(returned(&answers), 0);
    asks.request(&world, |request| Command::Unsubscribe { request, consumer: ConsumerId(1) }).expect("cancels");
    answers.publish_message(&world, message(&world, "", ADDRESS, "3"), Some(1));
    assert_eq!((returned(&answers), answers.confirmed(&world)), (1, vec![1]));
    assert!(matches!(answers.define(&world, ask_for(ADDRESS)), Err(Refusal::NotFound { .. })));
    listen(&world, &mut asks);
    asks.client.close(world.now);
    answers.publish(&world, "", ADDRESS, "4");
    assert_eq!(returned(&answers), 2);
}

#[test]
fn nobody_else_touches_an_address_nor_makes_one_by_its_name() {
    let world = World::new();
    let (mut asks, mut other) = (world.client("u"), world.client("u"));
    listen(&world, &mut asks);
    assert!(matches!(other.consume(&world, ADDRESS, 1, 0), Err(Refusal::NotFound { .. })));
    assert!(matches!(other.purge(&world, ADDRESS), Err(Refusal::NotFound { .. })));
    assert!(other.define(&world, Definition::Bind(binding("amq.topic", ADDRESS, "#"))).is_err());
    assert!(other.define(&world, declare(ADDRESS, Some(Inner::Replies))).is_err());
    let made_up = other.define(&world, declare("amq.rabbitmq.reply-to.mine", None));
    assert!(matches!(made_up, Err(Refusal::NotFound { .. })), "{made_up:?}");
    other.define(&world, declare(ADDRESS, None)).expect("is a question");
    let list = Definition::ListQueues { prefix: "".into(), after: None, count_max: 10 };
    let Ok(Reply::Queues(queues)) = other.define(&world, list) else { panic!("no list") };
    assert!(queues.is_empty());
}

#[test]
fn replies_to_those_who_come_and_go_make_nobody_look_up_other_routes() {
    let world = World::new();
    let (mut asks, mut answers) = (world.client("u"), world.client("u"));
    let before = world.broker.version();
    for _ in 0..100 {
        listen(&world, &mut asks);
        answers.publish(&world, "", ADDRESS, "m");
        asks.request(&world, |request| Command::Unsubscribe { request, consumer: ConsumerId(1) }).expect("cancels");
    }
    assert_eq!(world.broker.version(), before);
    assert_eq!(asks.bodies(&world).len(), 100);
}

/// An MQTT client asks on a topic, and an AMQP client answers as if that were a queue.
#[test]
fn an_answer_to_the_address_of_an_exchange_goes_there() {
    let world = World::new();
    let mut client = world.client("u");
    client.exchange(&world, "x", "topic", &[]);
    client.queue(&world, "q", &[]);
    client.bind(&world, "x", "q", "a/b.c");
    client.publish(&world, "", "/exchanges/x/a%2Fb.c", "answer");
    client.publish(&world, "", "/exchanges/missing/a", "nowhere");
    let found = client.fetch(&world, "q", u32::MAX, crossdock_common::command::Lease::Connection);
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].message.exchange, &found[0].message.routing_key[..]), ("x", &b"a/b.c"[..]));
    client.queue(&world, "/exchanges/x/a%2Fb.c", &[]);
    client.publish(&world, "", "/exchanges/x/a%2Fb.c", "a queue of that name");
    assert_eq!(client.drain(&world, "/exchanges/x/a%2Fb.c"), ["a queue of that name"]);
}

/// Who may publish to queues by name may not thereby publish to every exchange.
#[test]
fn an_answer_to_the_address_of_an_exchange_asks_for_the_right_to_write_there() {
    let world = World::new();
    let mut admin = world.client("admin");
    admin.exchange(&world, "x", "topic", &[]);
    let mut permissions = Permissions::default();
    permissions.grant("answers".into(), "/".into(), Grant::new("", "^(amq\\.default)?$", "").expect("valid"));
    world.broker.set_permissions(permissions);
    let mut answers = world.client("answers");
    answers.publish_message(&world, message(&world, "", "/exchanges/x/k", "m"), Some(1));
    let is_refused = |event: &Event| matches!(event, Event::PublishRefused { refusal: Refusal::AccessRefused { name, .. }, .. } if &**name == "x");
    assert!(answers.events.iter().any(is_refused), "{:?}", answers.events);
}
