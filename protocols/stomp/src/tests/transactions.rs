use crossdock_common::{Command, Event, Lane, Limits};

use super::support::*;

#[test]
fn a_commit_carries_out_in_order_and_its_receipt_waits_for_all() {
    let mut wire = Wire::connected("1.2");
    wire.core.hold_confirms = true;
    assert_eq!(wire.send("BEGIN\ntransaction:t\nreceipt:1\n\n\0"), receipt("1"));
    for key in ["a", "b"] {
        let read = wire.send(&format!("SEND\ndestination:/topic/{key}\ntransaction:t\nreceipt:{key}\n\n\0"));
        assert_eq!(read, receipt(key));
    }
    assert!(wire.asked().is_empty());
    assert_eq!(wire.send("COMMIT\ntransaction:t\nreceipt:2\n\n\0"), "");
    let asked = wire.asked();
    let [Command::Publish(first), Command::Publish(second)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&first.message.routing_key[..], &second.message.routing_key[..]), (&b"a"[..], &b"b"[..]));
    let (first, second) = (first.confirm.unwrap(), second.confirm.unwrap());
    assert_eq!(wire.event(Event::Confirmed { lane: Lane(0), confirms: vec![second] }), "");
    assert_eq!(wire.event(Event::Confirmed { lane: Lane(0), confirms: vec![first] }), receipt("2"));
}

#[test]
fn an_abort_leaves_deliveries_to_be_acked_again() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n\0");
    let read = wire.deliver(1, 1, vec![message("", "q", "", "x")]);
    let id = read.lines().find_map(|line| line.strip_prefix("ack:")).unwrap();
    wire.send(&format!("BEGIN\ntransaction:t\n\n\0ACK\ntransaction:t\nid:{id}\n\n\0ABORT\ntransaction:t\n\n\0"));
    let is_settle = |command: &Command| matches!(command, Command::Settle { .. });
    assert!(!wire.asked().iter().any(is_settle));
    wire.send(&format!("ACK\nid:{id}\nreceipt:1\n\n\0"));
    assert!(wire.asked().iter().any(is_settle));
}

#[test]
fn later_acks_of_a_transaction_may_be_settled_already() {
    let mut wire = Wire::connected("1.2");
    wire.send("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client\n\n\0");
    let read = wire.deliver(1, 1, (0..2).map(|_| message("", "q", "", "x")).collect());
    let ids: Vec<_> = read.lines().filter_map(|line| line.strip_prefix("ack:")).collect();
    wire.asked();
    wire.send("BEGIN\ntransaction:t\n\n\0");
    wire.send(&format!("ACK\ntransaction:t\nid:{}\n\n\0ACK\ntransaction:t\nid:{}\n\n\0", ids[1], ids[0]));
    assert_eq!(wire.send("COMMIT\ntransaction:t\nreceipt:1\n\n\0"), receipt("1"));
    assert_eq!(wire.asked().len(), 1);
}

#[test]
fn transactions_have_names_that_are_open() {
    for (frames, expected) in [
        ("BEGIN\n\n\0", "Missing transaction"),
        ("COMMIT\ntransaction:t\n\n\0", "Bad transaction"),
        ("ABORT\ntransaction:t\n\n\0", "Bad transaction"),
        ("BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0", "Bad transaction"),
        ("BEGIN\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0", "Bad transaction"),
    ] {
        assert_eq!(error_of(&Wire::connected("1.2").send(frames)), expected, "{frames}");
    }
    for (count, fits) in [(15, true), (16, true), (17, false)] {
        let frames: String = (0..count).map(|name| format!("BEGIN\ntransaction:{name}\n\n\0")).collect();
        assert_eq!(Wire::connected("1.2").send(&frames).is_empty(), fits, "{count}");
    }
}

#[test]
fn a_transaction_has_its_limits() {
    let send = |body: usize| format!("SEND\ndestination:/topic/t\ntransaction:t\n\n{}\0", "x".repeat(body));
    for (count, fits) in [(2, true), (3, true), (4, false)] {
        let mut wire = Wire::limited(Limits { unsettled_max: 3, ..Limits::default() });
        wire.send("BEGIN\ntransaction:t\n\n\0");
        assert_eq!(wire.send(&send(1).repeat(count)).is_empty(), fits, "{count} frames");
    }
    for (size, fits) in [(49, true), (50, true), (51, false)] {
        let mut wire = Wire::limited(Limits { message_bytes_max: 100, ..Limits::default() });
        wire.send("BEGIN\ntransaction:t\n\n\0");
        let read = wire.send(&(send(50) + &send(size)));
        assert_eq!(read.is_empty(), fits, "{size}");
    }
}

/// Whether all of it has happened is told to everybody.
#[test]
fn a_commit_without_receipt_tells_of_a_message_that_was_refused() {
    let mut wire = Wire::connected("1.2");
    wire.core.hold_confirms = true;
    wire.send("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\nx\0COMMIT\ntransaction:t\n\n\0");
    let asked = wire.asked();
    let [Command::Publish(publish)] = &asked[..] else { panic!("{asked:?}") };
    let (lane, confirm) = (Lane(0), publish.confirm.unwrap());
    let read = wire.event(Event::Rejected { lane, confirm, reason: crossdock_common::event::RejectReason::QueueFull });
    assert_eq!(error_of(&read), "Message refused");
    assert!(!read.contains("receipt-id"));
}
