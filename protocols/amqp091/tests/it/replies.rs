//! Direct reply-to.

use std::collections::VecDeque;

use super::support::*;

const PSEUDO: &str = "amq.rabbitmq.reply-to";
/// `basic.consume` without acknowledgements.
const NO_ACK: u8 = 2;

/// A property list with nothing but `reply-to`.
fn reply_to(name: &str) -> Vec<u8> {
    let mut properties = vec![0x02, 0x00, name.len() as u8];
    properties.extend_from_slice(name.as_bytes());
    properties
}

fn ask() -> Vec<u8> {
    publish_with(1, "", "server", 0, &reply_to(PSEUDO), b"question")
}

/// The address of the last message that the core got.
fn address(rig: &mut Rig) -> String {
    let message = rig.core.queues.get_mut("server").and_then(VecDeque::pop_back).expect("a message");
    let properties = message.properties.to_vec();
    assert_eq!(&properties[..2], [0x02, 0x00]);
    String::from_utf8(properties[3..].to_vec()).unwrap()
}

fn consuming() -> Rig {
    let mut rig = Rig::open();
    rig.send(&consume(1, PSEUDO, "c", NO_ACK));
    assert_eq!(rig.read(), ["1 basic.consume-ok c"]);
    rig
}

#[test]
fn messages_carry_the_address_of_their_channel() {
    let mut rig = consuming();
    rig.send(&ask());
    let first = address(&mut rig);
    let token = first.strip_prefix("amq.rabbitmq.reply-to.").expect("an address");
    assert_eq!(token.len(), 22, "128 bits");
    assert!(rig.core.log.iter().any(|line| line.contains(&first) && line.starts_with("Define")));
    assert!(rig.core.log.iter().any(|line| line.contains(&first) && line.starts_with("Subscribe")));
    rig.send(&[ask(), ask()].concat());
    assert_eq!([address(&mut rig), address(&mut rig)], [first.clone(), first.clone()]);
    rig.send(&[open_channel(2), consume(2, PSEUDO, "c", NO_ACK)].concat());
    rig.send(&publish_with(2, "", "server", 0, &reply_to(PSEUDO), b"question"));
    assert_ne!(address(&mut rig), first);
    rig.send(&publish_with(1, "", "server", 0, &reply_to("elsewhere"), b"question"));
    assert_eq!(address(&mut rig), "elsewhere");
}

#[test]
fn an_address_goes_with_its_consumer() {
    let mut rig = consuming();
    rig.send(&method(1, 60, 30, Args::new().short("c").u8(0)));
    rig.send(&ask());
    assert_eq!(
        rig.read(),
        ["1 basic.cancel-ok c", "1 channel.close 406 PRECONDITION_FAILED - fast reply consumer does not exist 60/40"]
    );
    let mut rig = consuming();
    rig.send(&method(1, 60, 30, Args::new().short("c").u8(0)));
    rig.send(&consume(1, PSEUDO, "d", NO_ACK));
    assert_eq!(rig.read(), ["1 basic.cancel-ok c", "1 basic.consume-ok d"]);
}

#[test]
fn what_cannot_be_a_reply_consumer_is_told_so() {
    let mut rig = Rig::open();
    rig.send(&consume(1, PSEUDO, "c", 0));
    assert_eq!(rig.read(), ["1 channel.close 406 PRECONDITION_FAILED - reply consumer cannot acknowledge 60/20"]);
    let mut rig = consuming();
    rig.send(&consume(1, PSEUDO, "d", NO_ACK));
    assert_eq!(rig.read(), ["1 channel.close 406 PRECONDITION_FAILED - reply consumer already set 60/20"]);
}

#[test]
fn the_pseudo_queue_is_always_there() {
    let mut rig = Rig::open();
    for bits in [0, 1, 2] {
        rig.send(&declare_queue(1, PSEUDO, bits));
        assert_eq!(rig.read(), ["1 queue.declare-ok amq.rabbitmq.reply-to 0 1"]);
    }
    rig.core.log.clear();
    rig.send(&declare_queue(1, "amq.rabbitmq.reply-to.token", 0));
    assert!(rig.core.log[0].contains("passive: true"), "a question: {}", rig.core.log[0]);
}
