//! Channels, exchanges, queues: what is asked, what the core is told, what is answered.

use crossdock_common::Event;

use super::support::*;

fn answers(bytes: &[u8]) -> Vec<String> {
    let mut rig = Rig::open();
    rig.send(bytes);
    rig.read()
}

#[test]
fn channels_open_and_close_and_open_again() {
    let mut rig = Rig::open();
    rig.send(&[close_channel(1), publish(1, "", "q", b"discarded"), open_channel(1), open_channel(2047)].concat());
    assert_eq!(rig.read(), ["1 channel.close-ok", "1 channel.open-ok", "2047 channel.open-ok"]);
    assert!(rig.core.queues.is_empty());
}

#[test]
fn a_channel_number_above_the_agreed_one_is_refused() {
    assert_eq!(
        answers(&open_channel(2048)),
        [
            "0 connection.close 530 NOT_ALLOWED - channel number 2048 is higher than the negotiated channel_max (2047) 20/10"
        ]
    );
}

#[test]
fn flow_can_only_be_confirmed() {
    assert_eq!(answers(&method(1, 20, 20, Args::new().u8(1))), ["1 channel.flow-ok 1"]);
    let refused = answers(&method(1, 20, 20, Args::new().u8(0)));
    assert_eq!(refused, ["0 connection.close 540 NOT_IMPLEMENTED - active=false 20/20"]);
}

#[test]
fn access_is_granted() {
    assert_eq!(answers(&method(1, 30, 10, Args::new().short("/data").u8(0x1F))), ["1 access.request-ok"]);
}

#[test]
fn exchanges_are_declared_bound_and_deleted() {
    let declare =
        |bits| method(1, 40, 10, Args::new().u16(0).short("x").short("topic").u8(bits).long(b"\x01aI\0\0\0\x07"));
    let mut rig = Rig::open();
    rig.send(&declare(0b01110));
    assert_eq!(rig.read(), ["1 exchange 11"]);
    assert_eq!(
        rig.core.log,
        [
            "Define { request: RequestId(3), definition: DeclareExchange { spec: ExchangeSpec { name: \"x\", kind: \"topic\", \
         durable: true, auto_delete: true, internal: true, arguments: [(\"a\", I32(7))], attributes: [] }, passive: false } }"
        ]
    );
    rig.send(&declare(0b10001));
    assert!(rig.read().is_empty(), "no-wait");
    let binding = Args::new().u16(0).short("to").short("from").short("key").u8(0).long(b"");
    rig.send(&[method(1, 40, 30, binding.clone()), method(1, 40, 40, binding)].concat());
    rig.send(&method(1, 40, 20, Args::new().u16(0).short("x").u8(1)));
    assert_eq!(rig.read(), ["1 exchange 31", "1 exchange 51", "1 exchange 21"]);
}

#[test]
fn queues_are_declared_bound_purged_and_deleted() {
    let mut rig = Rig::open();
    rig.send(&declare_queue(1, "q", 0b01110));
    assert_eq!(rig.read(), ["1 queue.declare-ok q 3 1"]);
    assert!(rig.core.log[0].contains("durable: true, exclusive: true, auto_delete: true"));
    let binding = Args::new().u16(0).short("q").short("x").short("key");
    rig.send(&method(1, 50, 20, binding.clone().u8(0).long(b"")));
    rig.send(&method(1, 50, 50, binding.long(b"")));
    rig.send(&method(1, 50, 30, Args::new().u16(0).short("q").u8(0)));
    rig.send(&method(1, 50, 40, Args::new().u16(0).short("q").u8(0b11)));
    assert_eq!(rig.read(), ["1 queue 21", "1 queue 51", "1 queue.purge-ok 7", "1 queue.delete-ok 7"]);
}

#[test]
fn deleting_what_is_not_there_is_fine() {
    let queue = method(1, 50, 40, Args::new().u16(0).short("missing").u8(0));
    let exchange = method(1, 40, 20, Args::new().u16(0).short("missing").u8(0));
    assert_eq!(answers(&[queue, exchange].concat()), ["1 queue.delete-ok 0", "1 exchange 21"]);
}

#[test]
fn an_empty_name_is_the_queue_declared_last() {
    let bind =
        |name: &str, key: &str| method(1, 50, 20, Args::new().u16(0).short(name).short("x").short(key).u8(0).long(b""));
    let mut rig = Rig::open();
    rig.send(&bind("", "k"));
    assert_eq!(rig.read(), ["1 channel.close 404 NOT_FOUND - no previously declared queue 50/20"]);

    let mut rig = Rig::open();
    // In one write: the binding has to wait for the generated name.
    rig.send(&[declare_queue(1, "", 0), bind("", ""), get(1, "", true)].concat());
    assert_eq!(rig.read(), ["1 queue.declare-ok amq.gen-1 3 1", "1 queue 21", "1 basic.get-empty"]);
    assert!(rig.core.log[1].contains("destination: Queue(\"amq.gen-1\"), key: b\"amq.gen-1\""), "{}", rig.core.log[1]);

    let mut rig = Rig::open();
    rig.send(&[declare_queue(1, "mine", 0), bind("", ""), bind("", "k")].concat());
    assert!(rig.core.log[1].contains("destination: Queue(\"mine\"), key: b\"mine\""));
    assert!(rig.core.log[2].contains("destination: Queue(\"mine\"), key: b\"k\""));
}

#[test]
fn answers_keep_their_order_within_a_channel() {
    let mut rig = Rig::open();
    rig.send(&open_channel(2));
    rig.read();
    rig.core.hold = true;
    let qos = |channel| method(channel, 60, 10, Args::new().u32(0).u16(5).u8(0));
    rig.send(&[declare_queue(1, "a", 0), qos(1), declare_queue(2, "b", 0), qos(1), declare_queue(1, "c", 0)].concat());
    assert!(rig.read().is_empty(), "qos-ok waits for declare-ok");
    rig.unhold();
    assert_eq!(
        rig.read(),
        [
            "1 queue.declare-ok a 3 1",
            "1 basic.qos-ok",
            "2 queue.declare-ok b 3 1",
            "1 basic.qos-ok",
            "1 queue.declare-ok c 3 1",
        ]
    );
    rig.send(&qos(1));
    assert_eq!(rig.read(), ["1 basic.qos-ok"]);
}

#[test]
fn a_client_that_pipelines_waits_once_a_thousand_requests_are_open() {
    let mut rig = Rig::open();
    rig.core.hold = true;
    rig.send(&declare_queue(1, "q", 0).repeat(3000));
    assert_eq!(rig.core.log.len(), 1024);
    for _ in 0..3 {
        rig.unhold();
        rig.receive();
    }
    assert_eq!(rig.read().len(), 3000);
    assert!(rig.input.is_empty());
}

#[test]
fn a_failed_channel_is_free_when_the_client_and_the_core_agree() {
    let mut rig = Rig::open();
    rig.core.hold = true;
    rig.send(&ack(1, 9, false));
    assert_eq!(rig.read(), ["1 channel.close 406 PRECONDITION_FAILED - unknown delivery tag 9 60/80"]);
    rig.send(&[publish(1, "", "q", b"discarded"), method(1, 20, 41, Args::new()), open_channel(1)].concat());
    assert!(rig.read().is_empty(), "the core has not taken back what the channel held");
    rig.unhold();
    rig.receive();
    assert_eq!(rig.read(), ["1 channel.open-ok"]);
    assert!(rig.core.queues.is_empty());
}

#[test]
fn closes_may_cross() {
    let mut rig = Rig::open();
    rig.send(&ack(1, 9, false));
    rig.read();
    rig.send(&close_channel(1));
    assert_eq!(rig.read(), ["1 channel.close-ok"]);
    rig.send(&[method(1, 20, 41, Args::new()), open_channel(1)].concat());
    assert_eq!(rig.read(), ["1 channel.open-ok"]);
    // A client that takes our answer to its close for the answer to everything.
    rig.send(&ack(1, 9, false));
    rig.read();
    rig.send(&[close_channel(1), open_channel(1)].concat());
    assert_eq!(rig.read(), ["1 channel.close-ok", "1 channel.open-ok"]);
}

#[test]
fn late_events_of_a_closed_channel_hit_nothing() {
    use crossdock_common::{Lane, Refusal};
    let mut rig = Rig::open();
    rig.send(&[method(1, 85, 10, Args::new().u8(0)), publish(1, "x", "k", b"1")].concat());
    rig.send(&close_channel(1));
    rig.send(&open_channel(1));
    rig.send(&[method(1, 85, 10, Args::new().u8(0)), publish(1, "x", "k", b"2")].concat());
    rig.read();
    rig.event(Event::Confirmed { lane: Lane(1), confirms: vec![1] });
    let refusal = Refusal::Forbidden(String::new());
    rig.event(Event::PublishRefused { lane: Lane(1), confirm: Some(1), refusal });
    assert!(rig.read().is_empty());
}
