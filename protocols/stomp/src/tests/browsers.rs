//! `browser:true`.

use crossdock_common::command::BrowsePlace;
use crossdock_common::event::{BrowsedMessages, Reply};
use crossdock_common::{Command, Event, Limits, Name, Value};

use super::support::*;

const BROWSE: &str = "SUBSCRIBE\nid:0\ndestination:/queue/q\nbrowser:true\nack:client\n";
const PLACE: BrowsePlace = BrowsePlace { level: 0, position: 2, until: 3 };
const END: &str = "MESSAGE\nsubscription:0\nbrowser:end\ndestination:/queue/q\nmessage-id:0\ncontent-length:0\n\n\0";

fn found(bodies: &[&'static str], next: Option<BrowsePlace>) -> BrowsedMessages {
    let deliveries = (1..).zip(bodies).map(|(position, body)| delivery(0, position, message("", "q", "", body)));
    BrowsedMessages { deliveries: deliveries.collect(), next }
}

#[test]
fn a_browser_shows_what_there_is_and_says_when_that_was_all() {
    let mut wire = Wire::connected("1.2");
    wire.core.browsed = [found(&["one", "two"], Some(PLACE)), found(&["three"], None)].into();
    let read = wire.send(&format!("{BROWSE}selector:a = 1\nreceipt:1\n\n\0"));
    assert!(read.starts_with(&receipt("1")), "{read}");
    let frames: Vec<&str> = read.split_inclusive('\0').skip(1).collect();
    for (frame, body) in frames.iter().zip(["one", "two", "three"]) {
        assert!(frame.starts_with("MESSAGE\nsubscription:0\n") && frame.ends_with(&format!("\n\n{body}\0")), "{frame}");
        assert!(!frame.contains("\nack:"), "there is nothing to acknowledge: {frame}");
    }
    assert_eq!(frames[3..], [END]);
    let asked = wire.asked();
    let browse =
        |command: &Command| if let Command::Browse { browse, .. } = command { Some((**browse).clone()) } else { None };
    let browses: Vec<_> = asked.iter().filter_map(browse).collect();
    assert!(asked.iter().all(|command| !matches!(command, Command::Subscribe { .. })), "{asked:?}");
    assert_eq!(browses.iter().map(|browse| browse.after).collect::<Vec<_>>(), [None, Some(PLACE)]);
    assert_eq!(browses[1].queue, Name::from("q"));
    assert_eq!(browses[1].arguments, [("x-selector".into(), Value::string("a = 1"))]);
}

#[test]
fn an_empty_queue_has_an_end_too() {
    assert_eq!(Wire::connected("1.2").send(&format!("{BROWSE}\n\0")), END);
}

#[test]
fn what_a_browser_showed_may_be_acknowledged_in_vain() {
    let mut wire = Wire::connected("1.1");
    wire.core.browsed = [found(&["one"], None)].into();
    let read = wire.send(&format!("{BROWSE}\n\0"));
    let id = read.lines().find_map(|line| line.strip_prefix("message-id:")).expect("an id").to_owned();
    wire.asked();
    let ack = |verb: &str| format!("{verb}\nsubscription:0\nmessage-id:{id}\nreceipt:1\n\n\0");
    assert_eq!(wire.send(&ack("ACK")), receipt("1"));
    assert!(wire.asked().is_empty());
    assert_eq!(error_of(&wire.send(&ack("NACK"))), "Invalid acknowledgement");
}

#[test]
fn a_browser_ends_when_it_is_told_to() {
    let mut wire = Wire::connected("1.2");
    wire.core.hold_replies = true;
    wire.send(&format!("{BROWSE}\n\0"));
    let Some(Command::Browse { request, .. }) = wire.asked().pop() else { panic!() };
    assert_eq!(wire.send("UNSUBSCRIBE\nid:0\nreceipt:1\n\n\0"), receipt("1"));
    let result = Ok(Reply::Browsed(Box::new(found(&["one"], Some(PLACE)))));
    assert_eq!(wire.event(Event::Reply { request, result }), "");
    assert!(wire.asked().is_empty(), "nothing more is looked for, and there is no consumer to end");
    assert_eq!(error_of(&wire.send("UNSUBSCRIBE\nid:0\n\n\0")), "No subscription found");
}

/// Hostile row ST-5: a temporary queue that nobody consumes stays, so there are not more of them than subscriptions.
#[test]
fn temporary_queues_that_are_looked_at_are_bounded() {
    let mut wire = Wire::limited(Limits { consumers_max: 2, ..Limits::default() });
    let subscribe = |number: u32| format!("SUBSCRIBE\nid:0\ndestination:/temp-queue/{number}\nbrowser:true\n\n\0");
    for number in 0..2 {
        assert!(wire.send(&subscribe(number)).contains("browser:end"));
        wire.send("UNSUBSCRIBE\nid:0\n\n\0");
    }
    assert_eq!(error_of(&wire.send(&subscribe(2))), "Too many subscriptions");
}

#[test]
fn only_one_queue_is_looked_at() {
    for destination in ["/topic/a", "/exchange/e/k", "/queue/a,/queue/b"] {
        let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nbrowser:true\n\n\0");
        assert_eq!(error_of(&Wire::connected("1.2").send(&subscribe)), "Invalid destination", "{destination}");
    }
}
