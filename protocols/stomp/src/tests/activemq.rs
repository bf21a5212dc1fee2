//! What clients of ActiveMQ and Artemis say, and RabbitMQ's do not.

use crossdock_common::command::{Outcome, Subscribe};
use crossdock_common::definition::{Definition, Durability, QueueInfo, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::refusal::Resource;
use crossdock_common::{Command, Event, Name, Refusal, Text, UnixMillis, Value};

use super::support::*;
use crate::{ConnectionOptions, Nack};

fn subscribes(wire: &mut Wire) -> Vec<Subscribe> {
    let subscribe = |command| if let Command::Subscribe { subscribe, .. } = command { Some(*subscribe) } else { None };
    wire.asked().into_iter().filter_map(subscribe).collect()
}

fn of_client(id: &str) -> Wire {
    let mut wire = Wire::new(options());
    let connect = format!("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nclient-id:{id}\n\n\0");
    assert!(wire.send(&connect).starts_with("CONNECTED"));
    wire.asked();
    wire
}

#[test]
fn a_composite_destination_is_several() {
    let mut wire = Wire::connected("1.2");
    assert_eq!(wire.send("SEND\ndestination:/queue/a,/topic/b.c\nreceipt:1\n\nx\0"), receipt("1"));
    let routes: Vec<_> = wire.published().iter().map(|m| (m.exchange.clone(), m.routing_key.clone())).collect();
    assert_eq!(routes, [(Name::from(""), "a".into()), (Name::from("amq.topic"), "b.c".into())]);
    assert_eq!(wire.send("SUBSCRIBE\nid:0\ndestination:/queue/a,/queue/b\nack:client\nreceipt:2\n\n\0"), receipt("2"));
    let queues: Vec<_> = subscribes(&mut wire).into_iter().map(|subscribe| subscribe.queue).collect();
    assert_eq!(queues, [Name::from("a"), Name::from("b")]);
    for consumer in [1, 2] {
        assert!(wire.deliver(consumer, 1, vec![message("", "q", "", "x")]).contains("\nsubscription:0\n"));
    }
    assert_eq!(wire.send("UNSUBSCRIBE\nid:0\nreceipt:3\n\n\0"), receipt("3"));
    let ended = wire.asked().iter().filter(|command| matches!(command, Command::Unsubscribe { .. })).count();
    assert_eq!(ended, 2);
}

#[test]
fn a_selector_is_the_consumers_on_a_queue_and_the_bindings_on_a_topic() {
    let argument = vec![("x-selector".into(), Value::string("color = 'red'"))];
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nselector:color = 'red'\n\n\0");
    assert_eq!(subscribes(&mut wire)[0].arguments, argument);
    wire.send("SUBSCRIBE\nid:1\ndestination:/topic/a.>\nselector:color = 'red'\n\n\0");
    let asked = wire.asked();
    let bound = asked.iter().find_map(|command| match command {
        Command::Define { definition, .. } => match &**definition {
            Definition::Bind(spec) => Some(spec.clone()),
            _ => None,
        },
        _ => None,
    });
    let bound = bound.expect("binds");
    assert_eq!((&bound.key[..], bound.arguments), (&b"a.#"[..], argument));
    let Some(Command::Subscribe { subscribe, .. }) = asked.last() else { panic!() };
    assert!(subscribe.arguments.is_empty());
}

#[test]
fn prefetch_priority_and_exclusiveness_have_two_spellings() {
    let mut wire = Wire::connected("1.2");
    wire.send(
        "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\nactivemq.prefetchSize:7\nactivemq.priority:3\n\
         activemq.exclusive:true\n\n\0",
    );
    let subscribe = subscribes(&mut wire).remove(0);
    assert_eq!((subscribe.window, subscribe.priority, subscribe.exclusive), (7, 3, true));
    wire.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n\0");
    wire.send("SUBSCRIBE\nid:2\ndestination:/queue/a\nack:client\nprefetch-count:0\n\n\0");
    let windows: Vec<u32> = subscribes(&mut wire).iter().map(|subscribe| subscribe.window).collect();
    assert_eq!(windows, [1_000, 0], "who does not say gets so many, so that others are not starved");
}

#[test]
fn a_durable_subscription_of_a_client_has_a_name() {
    for header in ["activemq.subscriptionName", "activemq.subcriptionName", "durable-subscription-name"] {
        let mut wire = of_client("c");
        assert_eq!(
            wire.send(&format!("SUBSCRIBE\nid:0\ndestination:/topic/a\n{header}:s\nreceipt:1\n\n\0")),
            receipt("1")
        );
        let asked = wire.asked();
        let Command::Define { definition, .. } = &asked[1] else { panic!() };
        let Definition::DeclareQueue { spec, .. } = &**definition else { panic!() };
        assert_eq!((&*spec.name, spec.durable, spec.exclusive), ("stomp-durable-c.s", true, false));
        let Some(Command::Subscribe { subscribe, .. }) = asked.last() else { panic!() };
        assert!(subscribe.exclusive, "one consumer at a time");
        assert_eq!(wire.send("UNSUBSCRIBE\nid:0\nreceipt:2\n\n\0"), receipt("2"));
        assert!(wire.definitions().is_empty(), "it goes on without its consumer");
        assert_eq!(wire.send(&format!("UNSUBSCRIBE\nid:0\n{header}:s\nreceipt:3\n\n\0")), receipt("3"));
        let deleted = Definition::DeleteQueue { name: spec.name.clone(), if_unused: false, if_empty: false };
        assert_eq!(wire.definitions(), [deleted]);
    }
    let read = Wire::connected("1.2").send("SUBSCRIBE\nid:0\ndestination:/topic/a\nactivemq.subscriptionName:s\n\n\0");
    assert_eq!(error_of(&read), "Missing Header");
}

/// What the core says that the subscription's queue is; what is asked then.
fn resumed(found: Option<Vec<(Text, Value)>>) -> Vec<Definition> {
    let mut wire = of_client("c");
    wire.core.hold_replies = true;
    wire.send(
        "SUBSCRIBE\nid:0\ndestination:/topic/a.>\nactivemq.subscriptionName:s\nselector:x = 1\n\n\0\
         UNSUBSCRIBE\nid:0\n\n\0",
    );
    let Some(Command::Define { request, .. }) = wire.asked().pop() else { panic!("what follows waits") };
    wire.core.hold_replies = false;
    let info = |attributes| {
        let info = QueueInfo {
            spec: QueueSpec { attributes, ..QueueSpec::default() },
            ready: 0,
            unsettled: 0,
            delayed: 0,
            consumers: 0,
            durability: Durability::Fsync,
            created_at: UnixMillis(0),
            changed_at: UnixMillis(0),
        };
        Ok(Reply::QueueInfo(Box::new(info)))
    };
    let nothing = Refusal::NotFound { resource: Resource::Queue, name: "s".into(), vhost: "/".into() };
    wire.event(Event::Reply { request, result: found.map_or(Err(nothing), info) });
    wire.definitions()
}

#[test]
fn with_another_topic_or_selector_a_durable_subscription_is_another() {
    let subscribed = |what: &str| vec![(Text::from("stomp.subscribed"), Value::string(what.to_owned()))];
    let same = subscribed("/exchanges/amq.topic/a.%23 x = 1");
    for found in [None, Some(same.clone())] {
        let asked = resumed(found);
        let [Definition::DeclareQueue { spec, .. }, Definition::Bind(_)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(spec.attributes, same);
    }
    for other in ["/exchanges/amq.topic/a.%23 x = 2", "/exchanges/amq.topic/b.%23 x = 1", "/exchanges/amq.topic/a.%23 "]
    {
        let asked = resumed(Some(subscribed(other)));
        let [
            Definition::DeleteQueue { name, if_unused: true, .. },
            Definition::DeclareQueue { .. },
            Definition::Bind(_),
        ] = &asked[..]
        else {
            panic!("{asked:?}")
        };
        assert_eq!(&**name, "stomp-durable-c.s");
    }
    let asked = resumed(Some(Vec::new()));
    let [Definition::UpdateQueue { attributes, .. }, ..] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*attributes, same, "one of before that was noted is kept, and is known from now on");
}

#[test]
fn a_temporary_queue_may_be_subscribed_to_and_sent_to() {
    let mut wire = Wire::connected("1.2");
    assert_eq!(wire.send("SUBSCRIBE\nid:0\ndestination:/temp-queue/t\nreceipt:1\n\n\0"), receipt("1"));
    assert_eq!(&*subscribes(&mut wire)[0].queue, "amq.gen-1");
    wire.send("SEND\ndestination:/queue/a\nreply-to:/temp-queue/t\n\nx\0SEND\ndestination:/temp-queue/t\n\ny\0");
    let published = wire.published();
    assert_eq!(&published[0].properties[..], b"reply-to:amq.gen-1\n");
    assert_eq!(&published[1].routing_key[..], b"amq.gen-1");
    // It goes with its last consumer: the name may be used again, and is another queue's then.
    assert_eq!(wire.send("UNSUBSCRIBE\nid:0\nreceipt:2\n\n\0"), receipt("2"));
    assert_eq!(wire.send("SUBSCRIBE\nid:1\ndestination:/temp-queue/t\nreceipt:3\n\n\0"), receipt("3"));
    assert_eq!(&*subscribes(&mut wire)[0].queue, "amq.gen-2");
    // Hostile row ST-5: another connection's name means nothing here.
    assert_eq!(error_of(&Wire::connected("1.2").send("SEND\ndestination:/temp-queue/t\n\n\0")), "Invalid destination");
}

#[test]
fn delay_and_expiry_are_the_brokers_business() {
    let mut wire = Wire::connected("1.2");
    let in_a_second = wire.now.unix.0 + 1_000;
    wire.send(&format!(
        "SEND\ndestination:/queue/a\nAMQ_SCHEDULED_DELAY:500\nexpires:{in_a_second}\nJMSXGroupID:g\npriority:9\n\nx\0\
         SEND\ndestination:/queue/a\nexpires:0\n\nx\0"
    ));
    let published = wire.published();
    let delay_ms = published[0].rare.as_ref().and_then(|rare| rare.delay_ms);
    assert_eq!((delay_ms, published[0].ttl_ms, published[0].priority), (Some(500), Some(1_000), 9));
    assert_eq!(published[0].hub().group_id.as_deref(), Some("g"));
    assert_eq!(published[1].ttl_ms, None);
    for (header, expected) in
        [("AMQ_SCHEDULED_DELAY:x", "Invalid header"), ("AMQ_SCHEDULED_CRON:* * * * *", "not_implemented")]
    {
        let read = Wire::connected("1.2").send(&format!("SEND\ndestination:/queue/a\n{header}\n\n\0"));
        assert_eq!(error_of(&read), expected);
    }
}

#[test]
fn a_nack_may_mean_the_dead_letters() {
    let options = ConnectionOptions { nack: Nack::DeadLetter, ..options() };
    for (header, outcome) in [("", Outcome::Rejected), ("requeue:true\n", Outcome::Released)] {
        assert_eq!(nacked(options.clone(), header, 0), outcome);
    }
}

/// A client that refuses a message for ever does not keep the broker busy.
#[test]
fn a_message_that_was_refused_very_often_waits() {
    assert_eq!(nacked(options(), "", 19), Outcome::Released);
    assert_eq!(nacked(options(), "", 20), Outcome::Modified { delay_ms: 1_000 });
    assert_eq!(nacked(options(), "", 21), Outcome::Modified { delay_ms: 2_000 });
    assert_eq!(nacked(options(), "", u32::MAX), Outcome::Modified { delay_ms: 60_000 });
}

fn nacked(options: ConnectionOptions, header: &str, redeliveries: u32) -> Outcome {
    let mut wire = Wire::new(options);
    wire.send("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\0");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n\0");
    let mut one = delivery(1, 1, message("", "q", "", "x"));
    one.delivery_count = redeliveries;
    let read = wire.event(Event::Deliver(vec![one]));
    let id = read.lines().find_map(|line| line.strip_prefix("ack:")).expect("an id");
    wire.asked();
    wire.send(&format!("NACK\nid:{id}\n{header}\n\0"));
    match wire.asked().remove(0) {
        Command::Settle { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_host_may_be_refused() {
    let mut wire = Wire::new(ConnectionOptions { strict_host: true, ..options() });
    wire.core.vhosts_unknown = vec!["nowhere"];
    let read = wire.send("CONNECT\naccept-version:1.2\nhost:nowhere\nlogin:guest\npasscode:guest\n\n\0");
    assert_eq!(error_of(&read), "Bad CONNECT");
}

#[test]
fn a_run_is_what_its_messages_are() {
    for (version, mode) in [("1.2", "client"), ("1.1", "client"), ("1.0", "auto")] {
        let mut one_by_one = Wire::connected(version);
        let mut together = Wire::connected(version);
        let subscribe = format!("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:{mode}\n\n\0");
        let (exchange, user) = (Name::from(""), Name::from("guest"));
        let arrived = crossdock_common::Arrived {
            format: &crate::FORMAT,
            exchange: &exchange,
            routing_key: b"q",
            properties: b"foo:b\\car\nreply-to:amq.gen-1\n",
            body: &[],
            durable: false,
            priority: 0,
            ttl_ms: None,
            user: &user,
            received_at: UnixMillis(0),
        };
        let bodies: [&[u8]; 3] = [b"one", b"", b"three"];
        let run = crossdock_common::Run::new(&arrived, bodies.into_iter());
        let delivery = crossdock_common::event::RunDelivery {
            consumer: crossdock_common::ConsumerId(1),
            queue: crossdock_common::names::QueueId(7),
            position: 1,
            run,
            delivered_at: UnixMillis(0),
            expires_at: None,
            binding: None,
        };
        for wire in [&mut one_by_one, &mut together] {
            wire.send(&subscribe);
        }
        let single = one_by_one.event(Event::Deliver(delivery.deliveries().collect()));
        let run = together.event(Event::DeliverRun(Box::new(delivery)));
        let session = |read: &str| read.split("session-").nth(1).map(|rest| rest[..32].to_owned()).unwrap_or_default();
        assert_eq!(single.replace(&session(&single), "S"), run.replace(&session(&run), "S"));
        assert_eq!(run.matches("MESSAGE\n").count(), 3);
    }
}
