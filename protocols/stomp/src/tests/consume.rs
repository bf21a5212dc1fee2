use bytes::Bytes;
use crossdock_common::command::{Outcome, Subscribe};
use crossdock_common::definition::{BindingSpec, Definition, Destination};
use crossdock_common::message::{Death, DeathReason};
use crossdock_common::output::Close;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Command, ConsumerId, Event, Limits, Machine, Message, Name, Refusal, UnixMillis};

use super::support::*;

fn subscribes(wire: &mut Wire) -> Vec<Subscribe> {
    let subscribe = |command| if let Command::Subscribe { subscribe, .. } = command { Some(*subscribe) } else { None };
    wire.asked().into_iter().filter_map(subscribe).collect()
}

fn settled(wire: &mut Wire) -> Vec<(Vec<u64>, Outcome)> {
    let settle = |command| match command {
        Command::Settle { deliveries, outcome, .. } => {
            Some((deliveries.into_iter().map(|id| id.position).collect(), outcome))
        }
        _ => None,
    };
    wire.asked().into_iter().filter_map(settle).collect()
}

fn header<'a>(frame: &'a str, name: &str) -> &'a str {
    frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
}

/// Message ids of three messages for the first subscription.
fn three(wire: &mut Wire) -> Vec<String> {
    let read = wire.deliver(1, 1, (0..3).map(|_| message("", "q", "", "x")).collect());
    read.split('\0').filter(|frame| !frame.is_empty()).map(|frame| header(frame, "message-id").to_owned()).collect()
}

#[test]
fn subscribe_gives_a_receipt_and_messages() {
    let mut wire = Wire::connected("1.2");
    let read = wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\nprefetch-count:5\nreceipt:1\n\n\0");
    assert_eq!(read, receipt("1"));
    let subscribe = subscribes(&mut wire).remove(0);
    assert_eq!((&*subscribe.queue, subscribe.presettled, subscribe.window), ("q", false, 5));
    let read = wire.deliver(1, 1, vec![message("", "q", "foo:b\\car\nack:forged\nreply-to:amq.gen-1\n", "hello")]);
    let id = header(&read, "message-id").to_owned();
    assert!(id.starts_with("T_0@@session-") && id.ends_with("@@1"));
    assert_eq!(
        read,
        format!(
            "MESSAGE\nsubscription:0\ndestination:/queue/q\nmessage-id:{id}\nack:{id}\nredelivered:false\n\
             content-length:5\nfoo:b\\car\nreply-to:/reply-queue/amq.gen-1\n\nhello\0"
        )
    );
}

#[test]
fn a_1_0_client_subscribes_by_destination() {
    let mut wire = Wire::connected("1.0");
    assert_eq!(wire.send("SUBSCRIBE\ndestination:/amq/queue/q\nreceipt:1\n\n\0"), receipt("1"));
    assert!(subscribes(&mut wire)[0].presettled);
    let read = wire.deliver(1, 1, vec![message("amq.topic", "a.b", "foo:b\\car\n", "x")]);
    assert!(read.starts_with("MESSAGE\ndestination:/topic/a.b\nmessage-id:Q_/amq/queue/q@@"), "{read}");
    assert!(read.contains("\nfoo:b:ar\n"));
    assert_eq!(wire.send("UNSUBSCRIBE\ndestination:/amq/queue/q\nreceipt:2\n\n\0"), receipt("2"));
}

#[test]
fn a_topic_subscription_has_a_queue_of_its_own() {
    let mut wire = Wire::connected("1.2");
    assert_eq!(wire.send("SUBSCRIBE\nid:0\ndestination:/topic/a.*.#\nreceipt:1\n\n\0"), receipt("1"));
    let asked = wire.asked();
    let Command::Define { definition, .. } = &asked[1] else { panic!() };
    let binding = BindingSpec {
        source: Name::from("amq.topic"),
        destination: Destination::Queue(Name::from("amq.gen-1")),
        key: Bytes::from_static(b"a.*.#"),
        arguments: vec![],
        announced: false,
        attributes: vec![],
    };
    assert_eq!(**definition, Definition::Bind(binding));
    let Some(Command::Subscribe { subscribe, .. }) = asked.last() else { panic!() };
    assert_eq!(&*subscribe.queue, "amq.gen-1");
}

#[test]
fn frames_wait_for_the_generated_name() {
    let mut wire = Wire::connected("1.2");
    wire.core.hold_replies = true;
    wire.send("SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0SEND\ndestination:/topic/a\n\nx\0");
    assert_eq!((wire.asked().len(), wire.input.is_empty()), (1, false));
}

#[test]
fn a_durable_subscription_has_a_readable_name_and_goes_on_request() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:mine\ndestination:/topic/a\ndurable:true\nreceipt:1\n\n\0");
    let Definition::DeclareQueue { spec, .. } = wire.definitions().remove(1) else { panic!() };
    assert_eq!((&*spec.name, spec.durable), ("stomp-subscription-mine@/topic/a", true));
    assert!(!spec.exclusive && !spec.auto_delete);
    wire.core.refuse = Some(Refusal::NotFound {
        resource: crossdock_common::refusal::Resource::Queue,
        name: spec.name.clone(),
        vhost: Name::from("/"),
    });
    assert_eq!(wire.send("UNSUBSCRIBE\nid:mine\ndurable:true\nreceipt:2\n\n\0"), receipt("2"));
    let deleted = Definition::DeleteQueue { name: spec.name, if_unused: false, if_empty: false };
    assert_eq!(wire.definitions(), [deleted]);
}

#[test]
fn a_long_durable_name_is_cut_and_stays_itself() {
    let mut names = Vec::new();
    for id in ["é".repeat(300), "é".repeat(301)] {
        let mut wire = Wire::connected("1.2");
        wire.send(&format!("SUBSCRIBE\nid:{id}\ndestination:/topic/a\ndurable:true\n\n\0"));
        let Definition::DeclareQueue { spec, .. } = wire.definitions().remove(1) else { panic!() };
        assert!(spec.name.len() <= 255);
        names.push(spec.name);
    }
    assert_ne!(names[0], names[1]);
}

#[test]
fn client_acks_are_cumulative_and_individual_ones_are_not() {
    for (mode, expected) in [("client", vec![1, 2]), ("client-individual", vec![2])] {
        let mut wire = Wire::connected("1.2");
        wire.send(&format!("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:{mode}\n\n\0"));
        let ids = three(&mut wire);
        wire.asked();
        assert_eq!(wire.send(&format!("ACK\nid:{}\nreceipt:1\n\n\0", ids[1])), receipt("1"));
        assert_eq!(settled(&mut wire), [(expected, Outcome::Accepted)]);
        assert_eq!(error_of(&wire.send(&format!("ACK\nid:{}\n\n\0", ids[1]))), "precondition_failed");
    }
}

/// The core answers a settlement of one queue only.
#[test]
fn a_cumulative_ack_over_two_queues_is_two_settlements() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\0");
    wire.deliver(1, 1, vec![message("", "a", "", "x")]);
    wire.send("UNSUBSCRIBE\nid:0\n\n\0SUBSCRIBE\nid:0\ndestination:/queue/b\nack:client\n\n\0");
    let mut second = delivery(2, 2, message("", "b", "", "x"));
    second.id.queue = crossdock_common::names::QueueId(8);
    let read = wire.event(Event::Deliver(vec![second]));
    wire.asked();
    assert_eq!(wire.send(&format!("ACK\nid:{}\nreceipt:1\n\n\0", header(&read, "ack"))), receipt("1"));
    assert_eq!(settled(&mut wire), [(vec![1], Outcome::Accepted), (vec![2], Outcome::Accepted)]);
}

#[test]
fn an_older_client_acks_by_message_id() {
    for version in ["1.0", "1.1"] {
        let mut wire = Wire::connected(version);
        wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n\0");
        let ids = three(&mut wire);
        wire.asked();
        wire.send(&format!("ACK\nsubscription:0\nmessage-id:{}\n\n\0", ids[0]));
        assert_eq!(settled(&mut wire), [(vec![1], Outcome::Accepted)]);
    }
}

#[test]
fn nack_requeues_unless_told_otherwise() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n\0");
    let ids = three(&mut wire);
    wire.asked();
    wire.send(&format!("NACK\nid:{}\n\n\0NACK\nid:{}\nrequeue:false\n\n\0", ids[0], ids[1]));
    assert_eq!(settled(&mut wire), [(vec![1], Outcome::Released), (vec![2], Outcome::Rejected)]);
}

#[test]
fn tokens_of_others_and_of_auto_subscriptions_are_unknown() {
    for (frame, expected) in [
        ("ACK\n\n\0", "Missing header"),
        ("ACK\nid:1\n\n\0", "Invalid header"),
        ("ACK\nid:T_0@@session-0@@1\n\n\0", "Invalid header"),
        ("ACK\nid:T_0@@session-0@@x\n\n\0", "Invalid header"),
    ] {
        assert_eq!(error_of(&Wire::connected("1.2").send(frame)), expected);
    }
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\n\n\0");
    let ids = three(&mut wire);
    assert_eq!(error_of(&wire.send(&format!("ACK\nid:{}\n\n\0", ids[0]))), "precondition_failed");
}

#[test]
fn deliveries_outlive_their_subscription_and_late_ones_go_back() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\n\n\0");
    let ids = three(&mut wire);
    assert_eq!(wire.send("UNSUBSCRIBE\nid:0\nreceipt:1\n\n\0"), receipt("1"));
    wire.asked();
    assert_eq!(wire.deliver(1, 9, vec![message("", "q", "", "late")]), "");
    wire.send(&format!("ACK\nid:{}\n\n\0", ids[2]));
    assert_eq!(settled(&mut wire), [(vec![9], Outcome::Released), (vec![3], Outcome::Accepted)]);
}

#[test]
fn another_protocols_message_is_converted() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\n\n\0");
    let body = Bytes::from(vec![b'x'; 5000]);
    let message = Message::new(plain_format(), Name::from("e/f"), Bytes::from_static(b"k:1"), Bytes::new(), body);
    let read = wire.deliver(1, 1, vec![message]);
    assert!(read.contains("\ndestination:/exchange/e%2Ff/k\\c1\n"), "{read}");
    assert!(read.contains("\ncontent-length:5000\n\nxxx"));
}

#[test]
fn redelivery_and_death_are_told() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\n\n\0");
    let mut dead = message("dlx", "q", "", "x");
    dead.rare_mut().deaths.push(Death {
        queue: Name::from("work"),
        reason: DeathReason::Rejected,
        count: 1,
        time: UnixMillis(0),
        exchange: Name::from(""),
        routing_keys: vec![],
        original_ttl_ms: None,
    });
    let mut delivery = delivery(1, 1, dead);
    delivery.delivery_count = 1;
    let read = wire.event(Event::Deliver(vec![delivery]));
    assert!(read.contains("redelivered:true\n"));
    assert!(read.contains("x-first-death-queue:work\nx-first-death-reason:rejected\nx-first-death-exchange:\n"));
}

#[test]
fn what_subscribe_may_not_say() {
    for (headers, expected) in [
        ("destination:/queue/a\n", "Missing header"),
        ("id:1\n", "Missing destination"),
        ("id:/temp-queue/a\ndestination:/queue/a\n", "Invalid id"),
        ("id:1\ndestination:/temp-queue/a/b\n", "Invalid destination"),
        ("id:1\ndestination:/queue/a\nack:maybe\n", "Invalid header"),
        ("id:1\ndestination:/queue/a\nack:client\nprefetch-count:-1\n", "Invalid header"),
    ] {
        let read = Wire::connected("1.1").send(&format!("SUBSCRIBE\n{headers}receipt:5\n\n\0"));
        assert_eq!(error_of(&read), expected, "{headers}");
        assert!(read.contains("receipt-id:5\n"), "{read}");
    }
    let mut wire = Wire::connected("1.1");
    let read = wire.send(&"SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0".repeat(2));
    assert_eq!(error_of(&read), "Duplicated subscription identifier");
    assert_eq!(error_of(&Wire::connected("1.1").send("UNSUBSCRIBE\nid:1\n\n\0")), "No subscription found");
}

#[test]
fn subscriptions_have_their_limit() {
    for (count, fits) in [(2, true), (3, true), (4, false)] {
        let mut wire = Wire::limited(Limits { consumers_max: 3, ..Limits::default() });
        let subscribe = |id| format!("SUBSCRIBE\nid:{id}\ndestination:/amq/queue/q\n\n\0");
        let read = wire.send(&(0..count).map(subscribe).collect::<String>());
        assert_eq!(read.is_empty(), fits, "{count}: {read}");
    }
}

#[test]
fn a_cancelled_consumer_ends_the_connection() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\n\n\0");
    let read = wire.event(Event::ConsumerCancelled { consumer: ConsumerId(1) });
    assert_eq!(error_of(&read), "Server cancelled subscription");
    assert!(read.contains("\nsubscription:0\n") && read.contains("No more messages will be delivered for id='0'."));
    assert!(wire.close.is_some());
}

#[test]
fn disconnect_gets_its_receipt_when_all_is_done() {
    let mut wire = Wire::connected("1.2");
    wire.core.hold_confirms = true;
    wire.send("SEND\ndestination:/topic/t\nreceipt:1\n\n\0DISCONNECT\nreceipt:2\n\n\0SEND\ngarbage");
    assert_eq!((wire.close.clone(), wire.input.is_empty()), (None, true));
    let asked = wire.asked();
    let [Command::Publish(publish)] = &asked[..] else { panic!("{asked:?}") };
    let confirms = vec![publish.confirm.unwrap()];
    let read = wire.event(Event::Confirmed { lane: crossdock_common::Lane(0), confirms });
    assert_eq!(read, receipt("1") + &receipt("2"));
    assert_eq!(wire.close, Some(Close::Normal));
    let mut wire = Wire::connected("1.0");
    assert_eq!((wire.send("DISCONNECT\n\n\0"), wire.close.clone()), (String::new(), Some(Close::Normal)));
}

#[test]
fn shutdown_says_so() {
    let mut wire = Wire::connected("1.2");
    let read = wire.run(|machine, now, _, output| machine.shutdown(now, output));
    assert_eq!(error_of(&read), "shutdown");
    assert_eq!(wire.close, Some(Close::Shutdown));
}
