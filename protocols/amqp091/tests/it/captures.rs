//! What pika sends, whole and cut anywhere.

use bytes::BytesMut;
use crossdock_common::testkit::{assert_cut_anywhere, assert_survives_random_bytes, outcome_of};

use crossdock_common::{Machine, Now, Output};

use super::support::{Answered, Rig, frames, handshake, open_channel, publish};
use crossdock_amqp091::ConnectionOptions;

const PUBLISHER: &[u8] = include_bytes!("../captures/pika-publisher.bin");
const CONSUMER: &[u8] = include_bytes!("../captures/pika-consumer.bin");

fn lines(capture: &[u8]) -> Vec<String> {
    frames(&outcome_of(Answered::new(), &[capture]).bytes).iter().map(super::support::Got::line).collect()
}

#[test]
fn a_publisher_gets_what_it_waits_for() {
    assert_eq!(
        lines(PUBLISHER),
        [
            "0 connection.start",
            "0 connection.tune 2047 131072 60",
            "0 connection.open-ok",
            "1 channel.open-ok",
            "1 confirm.select-ok",
            "1 exchange 11",
            "1 queue.declare-ok q 3 1",
            "1 queue 21",
            "1 basic.ack 1 0",
            "1 basic.ack 2 0",
            "1 basic.ack 3 0",
            "1 channel.close-ok",
            "0 connection.close-ok",
        ]
    );
}

#[test]
fn a_consumer_gets_what_it_waits_for() {
    assert_eq!(
        lines(CONSUMER)[3..],
        [
            "1 channel.open-ok",
            "2 channel.open-ok",
            "1 queue.declare-ok amq.gen-1 3 1",
            "1 basic.qos-ok",
            "1 queue 21",
            "1 basic.consume-ok tag-1",
            "1 basic.get-empty",
            "1 basic.cancel-ok tag-1",
            "1 basic.recover-ok",
            "1 queue 51",
            "1 exchange 31",
            "1 queue.purge-ok 7",
            "1 queue.delete-ok 7",
            "1 exchange 21",
            "1 channel.close-ok",
            "1 channel.open-ok",
            "1 tx 11",
            "1 tx 21",
            "1 tx 31",
            "2 channel.close-ok",
            "1 channel.close-ok",
            "0 connection.close-ok",
        ]
    );
}

#[test]
fn cut_anywhere() {
    assert_cut_anywhere(Answered::new, PUBLISHER);
    assert_cut_anywhere(Answered::new, CONSUMER);
}

#[test]
fn a_thousand_frames_in_one_write() {
    let mut bytes = [handshake(0, 0), open_channel(1)].concat();
    (0..1000).for_each(|_| bytes.extend(publish(1, "", "q", b"body")));
    let mut rig = Rig::new(ConnectionOptions::default());
    rig.send(&bytes);
    assert_eq!(rig.core.queues["q"].len(), 1000);
    assert!(rig.input.is_empty());
}

#[test]
fn random_bytes_neither_panic_nor_over_allocate() {
    assert_survives_random_bytes(Answered::new, &[PUBLISHER, CONSUMER, &handshake(0, 0)], 3000, 64 << 10);
}

/// The same for a client that is logged in and has a channel: everything after `channel.open-ok` of both captures.
#[test]
fn random_bytes_of_a_known_client() {
    let opened = || {
        let mut answered = Answered::new();
        let (mut input, mut output) = (BytesMut::new(), Output::default());
        input.extend_from_slice(&[handshake(0, 0), open_channel(1)].concat());
        answered.receive(Now::default(), &mut input, &mut output);
        answered
    };
    let after_open = |capture: &'static [u8]| {
        let open = open_channel(1);
        let at = capture.windows(open.len()).position(|part| part == open).unwrap() + open.len();
        &capture[at..]
    };
    assert_survives_random_bytes(opened, &[after_open(PUBLISHER), after_open(CONSUMER)], 6000, 64 << 10);
}
