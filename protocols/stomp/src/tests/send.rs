use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::RejectReason;
use crossdock_common::{Command, Event, Lane, Limits, Name, Refusal, UnixMillis, Value};

use super::support::*;

#[test]
fn a_queue_is_declared_once_and_durable() {
    let mut wire = Wire::connected("1.2");
    assert_eq!(wire.send("SEND\ndestination:/queue/a\n\n1\0SEND\ndestination:/queue/a\n\n2\0"), "");
    let asked = wire.asked();
    assert_eq!(asked.len(), 3);
    let spec = QueueSpec { name: Name::from("a"), durable: true, ..QueueSpec::default() };
    let declare = Definition::DeclareQueue { spec, passive: false };
    assert!(matches!(&asked[0], Command::Define { definition, .. } if **definition == declare));
    assert!(matches!(&asked[2], Command::Publish(publish) if publish.confirm.is_none()));
}

#[test]
fn headers_say_what_queue_it_shall_be() {
    let mut wire = Wire::connected("1.2");
    wire.send(
        "SEND\ndestination:/queue/a\ndurable:false\nauto-delete:true\nx-message-ttl:5\nx-overflow:drop-head\n\n\0",
    );
    let [Definition::DeclareQueue { spec, .. }] = &wire.definitions()[..] else { panic!() };
    assert!(!spec.durable && spec.auto_delete && !spec.exclusive);
    let expected = [("x-message-ttl".into(), Value::I64(5)), ("x-overflow".into(), Value::string("drop-head"))];
    assert_eq!(spec.arguments, expected);
}

#[test]
fn only_queues_are_declared() {
    let mut wire = Wire::connected("1.2");
    for destination in ["/topic/a.b", "/exchange/e/k", "/amq/queue/q", "/reply-queue/amq.gen-1"] {
        wire.send(&format!("SEND\ndestination:{destination}\n\n\0"));
    }
    let published = wire.published();
    let routes: Vec<_> = published.iter().map(|message| (&*message.exchange, &message.routing_key[..])).collect();
    assert_eq!(routes, [("amq.topic", &b"a.b"[..]), ("e", b"k"), ("", b"q"), ("", b"amq.gen-1")]);
}

#[test]
fn a_message_keeps_its_headers_and_has_its_facts() {
    let mut wire = Wire::connected("1.2");
    let headers = "persistent:true\npriority:7\nexpiration:60000\nreceipt:1\nfoo:b\\car\n";
    let read = wire.send(&format!("SEND\ndestination:/topic/t\n{headers}content-length:3\n\nabc\0"));
    assert_eq!(read, receipt("1"));
    let message = &wire.published()[0];
    assert_eq!(&message.properties[..], b"persistent:true\npriority:7\nexpiration:60000\nfoo:b\\car\n");
    assert_eq!((message.durable, message.priority, message.ttl_ms), (true, 7, Some(60_000)));
    assert_eq!((&*message.user, message.received_at), ("guest", UnixMillis(1_700_000_000_000)));
    assert_eq!(&message.body[..], b"abc");
}

#[test]
fn a_receipt_waits_for_the_confirm() {
    let mut wire = Wire::connected("1.2");
    wire.core.hold_confirms = true;
    assert_eq!(wire.send("SEND\ndestination:/queue/a\nreceipt:r1\n\n1\0"), "");
    let asked = wire.asked();
    let [.., Command::Publish(publish)] = &asked[..] else { panic!("{asked:?}") };
    let confirms = vec![publish.confirm.unwrap()];
    assert_eq!(wire.event(Event::Confirmed { lane: Lane(0), confirms }), receipt("r1"));
}

#[test]
fn what_was_not_published_is_an_error_with_its_receipt() {
    let refusal = Refusal::NotFound {
        resource: crossdock_common::refusal::Resource::Exchange,
        name: Name::from("e"),
        vhost: Name::from("/"),
    };
    for rejected in [false, true] {
        let mut wire = Wire::connected("1.2");
        wire.core.hold_confirms = true;
        wire.send("SEND\ndestination:/exchange/e\nreceipt:r1\n\n1\0");
        let asked = wire.asked();
        let [Command::Publish(publish)] = &asked[..] else { panic!("{asked:?}") };
        let (lane, confirm, refusal) = (Lane(0), publish.confirm, refusal.clone());
        let read = if rejected {
            wire.event(Event::Rejected { lane, confirm: confirm.unwrap(), reason: RejectReason::QueueFull })
        } else {
            wire.event(Event::PublishRefused { lane, confirm, refusal })
        };
        assert!(read.contains("receipt-id:r1\n"), "{read}");
        assert_eq!(error_of(&read), if rejected { "Message refused" } else { "not_found" });
        assert!(rejected || read.contains("no exchange 'e' in vhost '/'\n\0"));
    }
}

#[test]
fn an_unroutable_message_matters_for_queues_only() {
    for (destination, expected) in [("/topic/t", ""), ("/amq/queue/q", "not_found")] {
        let mut wire = Wire::connected("1.2");
        wire.core.hold_confirms = true;
        wire.send(&format!("SEND\ndestination:{destination}\nreceipt:r1\n\n1\0"));
        let asked = wire.asked();
        let [Command::Publish(publish)] = &asked[..] else { panic!("{asked:?}") };
        let (confirm, message) = (publish.confirm, publish.message.clone());
        let read = wire.event(Event::Unroutable { lane: Lane(0), confirm, mandatory: false, message });
        assert_eq!(error_of(&read), expected);
    }
}

#[test]
fn a_queue_that_went_is_declared_again() {
    let mut wire = Wire::connected("1.2");
    wire.send("SEND\ndestination:/queue/a\n\n1\0");
    let message = wire.published().remove(0);
    assert_eq!(wire.event(Event::Unroutable { lane: Lane(0), confirm: None, mandatory: true, message }), "");
    wire.send("SEND\ndestination:/queue/a\n\n1\0");
    assert_eq!(wire.definitions().len(), 1);
}

#[test]
fn a_refused_declaration_is_told_in_rabbitmqs_words() {
    let mut wire = Wire::connected("1.2");
    wire.core.refuse = Some(Refusal::PreconditionFailed("inequivalent arg 'durable'".into()));
    let read = wire.send("SEND\ndestination:/queue/a\nreceipt:9\n\n1\0");
    assert_eq!(error_of(&read), "precondition_failed");
    assert!(
        read.contains("receipt-id:9\n") && read.ends_with("\n\nPRECONDITION_FAILED - inequivalent arg 'durable'\n\0")
    );
}

#[test]
fn a_temp_queue_in_reply_to_becomes_a_queue_that_is_consumed() {
    let mut wire = Wire::connected("1.2");
    let send = "SEND\ndestination:/queue/rpc\nreply-to:/temp-queue/foo\nreceipt:1\n\nx\0";
    assert_eq!(wire.send(&send.repeat(2)), receipt("1").repeat(2));
    let asked = wire.asked();
    let subscribes = asked.iter().filter(|command| matches!(command, Command::Subscribe { .. })).count();
    let published: Vec<_> = asked
        .iter()
        .filter_map(|command| if let Command::Publish(publish) = command { Some(&publish.message) } else { None })
        .collect();
    assert_eq!((subscribes, published.len()), (1, 2));
    assert_eq!(&published[1].properties[..], b"reply-to:amq.gen-1\n");
    let read = wire.deliver(1, 1, vec![message("", "amq.gen-1", "", "answer")]);
    assert!(read.starts_with("MESSAGE\nsubscription:/temp-queue/foo\ndestination:/queue/amq.gen-1\n"), "{read}");
}

#[test]
fn what_send_may_not_say() {
    for (headers, expected) in [
        ("", "Missing destination"),
        ("destination:/orders\n", "Unknown destination"),
        ("destination:/queue/a,/queue/\n", "Invalid destination"),
        ("destination:/queue/a,/temp-queue/x\n", "Invalid destination"),
        ("destination:/temp-queue/x\n", "Invalid destination"),
        ("destination:/queue/a\nmessage-id:1\n", "Invalid header"),
        ("destination:/queue/a\nuser-id:root\n", "precondition_failed"),
        ("destination:/queue/a\nreply-to:/temp-queue/a/b\n", "Invalid destination"),
        ("destination:/queue/a\ntransaction:t\n", "Bad transaction"),
    ] {
        let read = Wire::connected("1.2").send(&format!("SEND\n{headers}receipt:5\n\n\0"));
        assert_eq!(error_of(&read), expected, "{headers}");
        assert!(read.contains("receipt-id:5\n"), "{read}");
    }
}

#[test]
fn a_body_has_its_limit() {
    for (size, fits) in [(9, true), (10, true), (11, false)] {
        let mut wire = Wire::limited(Limits { message_bytes_max: 10, ..Limits::default() });
        let read = wire.send(&format!("SEND\ndestination:/topic/t\nreceipt:1\n\n{}\0", "x".repeat(size)));
        assert_eq!(read == receipt("1"), fits, "{size}");
    }
}

#[test]
fn frames_wait_when_too_many_answers_are_open() {
    let mut wire = Wire::limited(Limits { unsettled_max: 2, ..Limits::default() });
    wire.core.hold_confirms = true;
    wire.send(&"SEND\ndestination:/topic/t\nreceipt:1\n\n\0".repeat(3));
    let asked = wire.asked();
    assert_eq!((asked.len(), wire.input.is_empty()), (2, false));
    let Command::Publish(publish) = &asked[0] else { panic!() };
    let confirms = vec![publish.confirm.unwrap()];
    wire.event(Event::Confirmed { lane: Lane(0), confirms });
    wire.send("");
    assert_eq!((wire.asked().len(), wire.input.is_empty()), (1, true));
}

/// What may be said together means what it means one by one.
#[test]
fn frames_that_are_the_same_but_for_their_bodies_are_a_run() {
    for head in ["content-length:1\n", "foo:b\\car\npriority:3\n"] {
        let frame = |body: &str| format!("SEND\ndestination:/queue/q\n{head}\n{body}\0\n");
        let mut wire = Wire::connected("1.2");
        wire.send(&frame("0"));
        let first = wire.published().remove(0);
        wire.send(&["1", "2", "3", "4", "5"].map(frame).concat());
        let asked = wire.asked();
        let [Command::PublishRun(publish)] = &asked[..] else { panic!("{asked:?}") };
        let bodies: Vec<&[u8]> = publish.run.bodies().collect();
        assert_eq!(bodies, [b"1", b"2", b"3", b"4", b"5"]);
        let like = publish.run.head();
        assert_eq!(
            (&like.properties, &like.routing_key, like.priority),
            (&first.properties, &first.routing_key, first.priority)
        );
        assert!(publish.mandatory, "the queue was declared");
        wire.send(&["6", "7", "8"].map(frame).concat());
        assert_eq!(wire.published().len(), 3, "few are passed on one by one");
    }
}

#[test]
fn what_is_another_for_each_message_is_no_run() {
    for header in ["expires:99999999999999", "reply-to:/queue/r", "AMQ_SCHEDULED_DELAY:1"] {
        let mut wire = Wire::connected("1.2");
        wire.send(&format!("SEND\ndestination:/topic/q\n{header}\n\nx\0").repeat(10));
        assert_eq!(wire.published().len(), 10, "{header}");
    }
    let mut wire = Wire::connected("1.2");
    wire.send("BEGIN\ntransaction:t\n\n\0");
    wire.send(&"SEND\ndestination:/topic/q\ntransaction:t\n\nx\0".repeat(10));
    assert!(wire.asked().is_empty());
}

#[test]
fn a_frame_that_is_cut_ends_a_run() {
    let mut wire = Wire::connected("1.2");
    let frame = "SEND\ndestination:/topic/q\ncontent-length:2\n\nxy\0";
    wire.send(frame);
    wire.asked();
    let bytes = frame.repeat(6);
    for cut in 1..frame.len() {
        let (one, other) = bytes.split_at(bytes.len() - cut);
        wire.send(one);
        wire.send(other);
        let count: usize = wire
            .asked()
            .iter()
            .map(|command| match command {
                Command::PublishRun(publish) => publish.run.len(),
                Command::Publish(_) => 1,
                _ => 0,
            })
            .sum();
        assert_eq!(count, 6);
    }
    let wrong = "SEND\ndestination:/topic/q\ncontent-length:2\n\nxyz\0";
    assert_eq!(error_of(&wire.send(&[&frame.repeat(5), wrong].concat())), "Malformed frame");
}

#[test]
fn frames_that_differ_in_their_receipts_are_confirmed_each() {
    for (persistent, as_run) in [("", true), ("persistent:true\n", false)] {
        let frame = |number: usize| {
            format!("SEND\ndestination:/queue/q\n{persistent}receipt:r-{number}:\ncontent-length:1\n\n{number}\0")
        };
        let mut wire = Wire::connected("1.2");
        let receipts =
            |numbers: std::ops::Range<usize>| numbers.map(|n| receipt(&format!("r-{n}\\c"))).collect::<String>();
        assert_eq!(wire.send(&frame(0)), receipts(0..1));
        wire.asked();
        assert_eq!(wire.send(&(1..8).map(frame).collect::<String>()), receipts(1..8));
        let asked = wire.asked();
        assert_eq!(
            (asked.len(), matches!(asked[0], Command::PublishRun(_))),
            if as_run { (1, true) } else { (7, false) }
        );
        assert_eq!(wire.send("SEND\ndestination:/queue/q\nreceipt:a\\cb\n\nx\0"), receipt("a\\cb"));
    }
}

#[test]
fn receipts_are_read_as_if_each_frame_was_the_first() {
    for (header, expected) in [("receipt: 9", " 9"), ("receipt:é", "é"), ("receipt:", ""), ("receipt:a\\nb", "a\\nb")]
    {
        let mut wire = Wire::connected("1.2");
        wire.send(&"SEND\ndestination:/topic/q\nreceipt:1\n\nx\0".repeat(2));
        assert_eq!(wire.send(&format!("SEND\ndestination:/topic/q\n{header}\n\nx\0")), receipt(expected));
    }
    let mut wire = Wire::connected("1.0");
    wire.send(&"SEND\ndestination:/topic/q\nreceipt:1\n\nx\0".repeat(2));
    assert_eq!(wire.send("SEND\ndestination:/topic/q\nreceipt: 9\n\nx\0"), receipt("9"));
    assert_eq!(error_of(&wire.send("SEND\ndestination:/topic/q\nreceipt:a\0b\n\nx\0")), "Malformed frame");
}

/// Frames wait while as many receipts are open as a connection may have, however they came.
#[test]
fn repeated_frames_wait_like_others() {
    let mut wire = Wire::limited(Limits { unsettled_max: 3, ..Limits::default() });
    wire.core.hold_confirms = true;
    let frame = "SEND\ndestination:/topic/q\nreceipt:1\npersistent:true\n\nx\0";
    wire.send(&frame.repeat(10));
    assert_eq!((wire.published().len(), wire.input.len()), (3, frame.len() * 7));
}

#[test]
fn a_repeated_frame_may_not_be_larger_than_any_other() {
    let mut wire = Wire::limited(Limits { message_bytes_max: 10, ..Limits::default() });
    let frame = |body_bytes: usize| format!("SEND\ndestination:/topic/q\n\n{}\0", "x".repeat(body_bytes));
    wire.send(&frame(10).repeat(6));
    assert!(wire.asked().iter().any(|command| matches!(command, Command::PublishRun(_))), "they are a run");
    assert!(wire.send(&frame(11)).starts_with("ERROR"));
    assert_eq!(wire.published().len(), 0);
}
