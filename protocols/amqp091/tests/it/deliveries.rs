//! Consumers, deliveries and what becomes of them.

use std::sync::Arc;

use crossdock_common::command::Outcome::{Accepted, Rejected, Released};
use crossdock_common::event::RunDelivery;
use crossdock_common::names::QueueId;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Arrived, ConsumerId, Event, Format, Limits, Name, Run, UnixMillis};

use super::support::*;

const FORMAT_HERE: &dyn Format = &crossdock_amqp091::FORMAT;

/// A consumer `c` with three deliveries.
fn consuming() -> Rig {
    let mut rig = Rig::open();
    rig.send(&consume(1, "q", "c", 0));
    assert_eq!(rig.read(), ["1 basic.consume-ok c"]);
    ["one", "two", "three"].iter().for_each(|body| rig.deliver(1, body));
    rig.core.log.clear();
    rig
}

#[test]
fn messages_are_delivered_with_growing_tags() {
    let mut rig = consuming();
    assert_eq!(
        rig.read(),
        [
            "1 basic.deliver c 1 0 x k",
            "1 header 3",
            "1 body 3",
            "1 basic.deliver c 2 0 x k",
            "1 header 3",
            "1 body 3",
            "1 basic.deliver c 3 0 x k",
            "1 header 5",
            "1 body 5",
        ]
    );
}

/// A run of so many messages for consumer 1.
fn run(count: usize, format: &'static dyn Format) -> RunDelivery {
    let (exchange, user) = (Name::from("x"), Name::from("u"));
    let arrived = Arrived {
        format,
        exchange: &exchange,
        routing_key: b"k",
        properties: &[0x10, 0, 2],
        body: &[],
        durable: true,
        priority: 0,
        ttl_ms: None,
        user: &user,
        received_at: UnixMillis(0),
    };
    let bodies: Vec<Vec<u8>> = (0..count).map(|index| vec![b'a' + index as u8; 1 + index * 500]).collect();
    RunDelivery {
        consumer: ConsumerId(1),
        queue: QueueId(1),
        position: 7,
        run: Run::new(&arrived, bodies.iter().map(Vec::as_slice)),
        delivered_at: UnixMillis(0),
        expires_at: None,
        binding: None,
    }
}

#[test]
fn a_run_reads_as_its_deliveries_do_and_is_settled_as_they_are() {
    for (no_ack, format) in [(true, FORMAT_HERE), (false, FORMAT_HERE), (true, plain_format()), (false, plain_format())]
    {
        let heard = |in_run: bool| {
            let mut rig = Rig::open_with(Limits::default(), 4096);
            rig.send(&consume(1, "q", "c", u8::from(no_ack) << 1));
            rig.deliver(1, "before");
            let run = run(5, format);
            let deliveries = run.deliveries().collect();
            rig.event(if in_run { Event::DeliverRun(Box::new(run)) } else { Event::Deliver(deliveries) });
            rig.deliver(1, "behind");
            rig.core.log.clear();
            rig.send(&[ack(1, 3, false), nack(1, 5, false, true), ack(1, 6, true)].concat());
            (rig.read_frames(), rig.settled())
        };
        let (run, single) = (heard(true), heard(false));
        assert_eq!(run, single);
        assert_eq!(run.1.contains(&(vec![8], Accepted)), !no_ack);
    }
}

#[test]
fn a_run_for_nobody_or_beyond_the_limit_goes_back_as_its_deliveries_do() {
    let heard = |in_run: bool, consumer: u64| {
        let mut rig = Rig::open_with(Limits { unsettled_max: 4, ..Limits::default() }, 0);
        rig.send(&consume(1, "q", "c", 0));
        rig.core.log.clear();
        let run = RunDelivery { consumer: ConsumerId(consumer), ..run(5, FORMAT_HERE) };
        let deliveries = run.deliveries().collect();
        rig.event(if in_run { Event::DeliverRun(Box::new(run)) } else { Event::Deliver(deliveries) });
        (rig.read(), rig.settled())
    };
    for consumer in [1, 2] {
        assert_eq!(heard(true, consumer), heard(false, consumer));
    }
}

#[test]
fn large_messages_are_cut_to_the_frame_size() {
    let mut rig = Rig::open_with(Limits::default(), 4096);
    rig.send(&consume(1, "q", "c", 2));
    rig.read();
    rig.deliver(1, &"x".repeat(10_000));
    let lines = rig.read();
    assert_eq!(lines[1..], ["1 header 10000", "1 body 4088", "1 body 4088", "1 body 1824"]);
}

#[test]
fn redeliveries_say_so() {
    let mut rig = Rig::open();
    rig.send(&consume(1, "q", "c", 0));
    rig.read();
    let delivery = rig.core.delivery(ConsumerId(1), Arc::new(message("x", "k", "b")), 2);
    rig.event(Event::Deliver(vec![delivery]));
    let frames = rig.read_frames();
    assert_eq!(frames[0].line(), "1 basic.deliver c 1 1 x k");
    let count = b"\x10x-delivery-countl\0\0\0\0\0\0\0\x02";
    assert!(frames[1].payload.windows(count.len()).any(|part| part == count));
}

#[test]
fn single_and_multiple_settlements() {
    let settled = |bytes: Vec<u8>| {
        let mut rig = consuming();
        rig.send(&bytes);
        assert_eq!(rig.close(), None);
        rig.settled()
    };
    assert_eq!(settled(ack(1, 2, false)), [(vec![2], Accepted)]);
    assert_eq!(settled(ack(1, 2, true)), [(vec![1, 2], Accepted)]);
    assert_eq!(settled(ack(1, 0, true)), [(vec![1, 2, 3], Accepted)]);
    assert_eq!(settled([ack(1, 2, false), ack(1, 3, true)].concat()), [(vec![2, 1, 3], Accepted)], "one command");
    assert_eq!(settled(nack(1, 3, true, true)), [(vec![1, 2, 3], Released)]);
    assert_eq!(settled(nack(1, 3, false, false)), [(vec![3], Rejected)]);
    assert_eq!(
        settled([ack(1, 1, false), nack(1, 2, false, true)].concat()),
        [(vec![1], Accepted), (vec![2], Released)]
    );
    let reject = |requeue| method(1, 60, 90, Args::new().u64(1).u8(requeue));
    assert_eq!(settled(reject(0)), [(vec![1], Rejected)]);
    assert_eq!(settled(reject(1)), [(vec![1], Released)]);
}

#[test]
fn unknown_tags_close_the_channel() {
    for (bytes, text) in [
        (ack(1, 0, false), "unknown delivery tag 0 60/80"),
        (ack(1, 4, false), "unknown delivery tag 4 60/80"),
        (ack(1, u64::MAX, true), "unknown delivery tag 18446744073709551615 60/80"),
        (nack(1, 9, false, true), "unknown delivery tag 9 60/120"),
        ([ack(1, 1, false), ack(1, 1, false)].concat(), "unknown delivery tag 1 60/80"),
    ] {
        let mut rig = consuming();
        rig.read();
        rig.send(&bytes);
        assert_eq!(rig.read(), [format!("1 channel.close 406 PRECONDITION_FAILED - {text}")]);
    }
}

#[test]
fn a_channel_that_ends_gives_everything_back() {
    let mut rig = consuming();
    rig.read();
    rig.send(&ack(1, 2, false));
    rig.core.log.clear();
    rig.send(&close_channel(1));
    assert_eq!(rig.read(), ["1 channel.close-ok"]);
    assert!(rig.core.log[0].starts_with("Unsubscribe"));
    assert_eq!(rig.settled(), [(vec![1, 3], Released)]);
    rig.deliver(1, "late");
    assert_eq!(rig.settled(), [(vec![4], Released)], "a late delivery goes back");
}

#[test]
fn a_connection_that_closes_gives_everything_back_first() {
    let mut rig = consuming();
    rig.core.hold = true;
    rig.read();
    rig.send(&close_connection());
    assert!(rig.read().is_empty());
    assert_eq!(rig.settled()[0], (vec![1, 2, 3], Released));
    rig.unhold();
    assert_eq!(rig.read(), ["0 connection.close-ok"]);
}

#[test]
fn recover_gives_everything_back() {
    for (number, answer) in [(110, &["1 basic.recover-ok"][..]), (100, &[])] {
        let mut rig = consuming();
        rig.read();
        rig.send(&method(1, 60, number, Args::new().u8(1)));
        assert_eq!(rig.read(), answer);
        assert_eq!(rig.settled(), [(vec![1, 2, 3], Released)]);
        rig.send(&method(1, 60, number, Args::new().u8(0)));
        let text = format!("0 connection.close 540 NOT_IMPLEMENTED - requeue=false 60/{number}");
        assert_eq!(rig.read(), [text]);
    }
}

#[test]
fn consumers_have_unique_tags() {
    let mut rig = consuming();
    rig.send(&consume(1, "q", "c", 0));
    let text = "0 connection.close 530 NOT_ALLOWED - attempt to reuse consumer tag 'c' 60/20";
    assert_eq!(rig.read().pop().unwrap(), text);

    let mut rig = Rig::open();
    rig.send(&[consume(1, "q", "", 0), consume(1, "q", "", 0)].concat());
    let tags = rig.read();
    assert!(tags.iter().all(|line| line.starts_with("1 basic.consume-ok amq.ctag-") && line.len() == 50), "{tags:?}");
    assert_ne!(tags[0], tags[1]);
}

#[test]
fn consumers_at_the_limit_and_beyond() {
    let mut rig = Rig::open_with(Limits { consumers_max: 2, ..Limits::default() }, 0);
    rig.send(&[consume(1, "q", "a", 0), consume(1, "q", "b", 0), consume(1, "q", "c", 0)].concat());
    assert_eq!(
        rig.read(),
        ["0 connection.close 530 NOT_ALLOWED - reached maximum (2) of consumers per connection 60/20",]
    );
}

#[test]
fn deliveries_at_the_limit_and_beyond() {
    let mut rig = Rig::open_with(Limits { unsettled_max: 2, ..Limits::default() }, 0);
    rig.send(&consume(1, "q", "c", 0));
    assert!(rig.core.log[0].contains("window: 2"));
    rig.deliver(1, "a");
    rig.deliver(1, "b");
    rig.read();
    rig.deliver(1, "c");
    let text = "1 channel.close 406 PRECONDITION_FAILED - limit of 2 unsettled deliveries is reached 0/0";
    assert_eq!(rig.read(), [text]);
}

#[test]
fn consumers_are_cancelled_from_both_sides() {
    let cancel = |tag: &str, no_wait| method(1, 60, 30, Args::new().short(tag).u8(no_wait));
    let mut rig = consuming();
    rig.read();
    rig.core.hold = true;
    rig.send(&cancel("c", 0));
    rig.deliver(1, "in between");
    assert_eq!(rig.read()[0], "1 basic.deliver c 4 0 x k");
    rig.unhold();
    assert_eq!(rig.read(), ["1 basic.cancel-ok c"]);
    rig.send(&[ack(1, 4, true), cancel("nobody", 0), cancel("nobody", 1), consume(1, "q", "c", 0)].concat());
    assert_eq!(rig.read(), ["1 basic.cancel-ok nobody", "1 basic.consume-ok c"]);
    rig.event(Event::ConsumerCancelled { consumer: ConsumerId(2) });
    assert_eq!(rig.read(), ["1 basic.cancel c"]);
    rig.send(&[method(1, 60, 31, Args::new().short("c")), consume(1, "q", "c", 0)].concat());
    assert_eq!(rig.read(), ["1 basic.consume-ok c"]);
}

#[test]
fn what_a_consumer_asks_for_reaches_the_core() {
    let mut rig = Rig::open();
    let qos = |count, global| method(1, 60, 10, Args::new().u32(0).u16(count).u8(global));
    rig.send(&[qos(65_535, 0), qos(7, 1)].concat());
    let arguments = Args::new().short("x-priority").u8(b'I').u32((-3i32).cast_unsigned());
    let consume = Args::new().u16(0).short("q").short("c").u8(0b0100).long(&arguments.0);
    rig.send(&method(1, 60, 20, consume));
    assert_eq!(rig.read(), ["1 basic.qos-ok", "1 basic.qos-ok", "1 basic.consume-ok c"]);
    assert_eq!(rig.core.log[0], "LaneWindow { lane: Lane(1), window: 7 }");
    assert!(rig.core.log[1].contains("exclusive: true, priority: -3, window: 65535"), "{}", rig.core.log[1]);
    rig.send(&close_channel(1));
    assert!(rig.core.log.iter().any(|line| line == "LaneWindow { lane: Lane(1), window: 0 }"));
}

#[test]
fn messages_can_be_fetched() {
    let mut rig = Rig::open();
    rig.send(
        &[publish(1, "", "q", b"one"), publish(1, "", "q", b"two"), get(1, "q", true), get(1, "q", false)].concat(),
    );
    assert_eq!(
        rig.read(),
        ["1 basic.get-ok 1 0", "1 header 3", "1 body 3", "1 basic.get-ok 2 0", "1 header 3", "1 body 3"]
    );
    rig.core.log.clear();
    rig.send(&[get(1, "q", true), ack(1, 2, true)].concat());
    assert_eq!(rig.read(), ["1 basic.get-empty"]);
    assert_eq!(rig.settled(), [(vec![2], Accepted)]);
}

#[test]
fn a_refused_consumer_closes_the_channel() {
    let mut rig = Rig::open();
    rig.send(&consume(1, "missing", "c", 0));
    assert_eq!(rig.read(), ["1 channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/' 60/20"]);
    assert!(!rig.core.log.iter().any(|line| line.starts_with("Unsubscribe")));
}

const TIMED_OUT: &str = "1 channel.close 406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout \
                         value used: 100000 ms. This timeout value can be configured, see consumers doc guide to learn more 0/0";

/// A consumer `c` that has 100 seconds for each delivery.
fn hurried(queue: &str) -> Rig {
    let mut rig = Rig::open_with(Limits { consumer_timeout_ms: 100_000, ..Limits::default() }, 0);
    rig.send(&consume(1, queue, "c", 0));
    rig.read();
    rig
}

#[test]
fn what_is_not_settled_in_time_ends_the_channel() {
    let mut rig = hurried("q");
    rig.deliver(1, "one");
    rig.advance_ms(60_000);
    rig.deliver(1, "two");
    rig.read();
    rig.advance_ms(40_000);
    assert!(rig.read().is_empty(), "not before its time");
    rig.core.log.clear();
    rig.advance_ms(10_000);
    assert_eq!(rig.read(), [TIMED_OUT]);
    assert_eq!(rig.settled(), [(vec![1, 2], Released)]);
    rig.send(&open_channel(2));
    assert_eq!(rig.read(), ["2 channel.open-ok"], "the connection goes on");
}

#[test]
fn what_is_settled_in_time_ends_nothing() {
    let mut rig = hurried("q");
    for tag in 1..100 {
        rig.deliver(1, "m");
        rig.advance_ms(30_000);
        if tag > 2 {
            rig.send(&ack(1, tag - 2, false));
        }
        assert_eq!(rig.read().len(), 3);
    }
    rig.send(&ack(1, 0, true));
    rig.advance_ms(10_000_000);
    assert!(rig.read().is_empty());
    rig.deliver(1, "late");
    rig.read();
    rig.advance_ms(100_000);
    assert!(rig.read().is_empty(), "its time began when it was handed out");
    rig.advance_ms(10_000);
    assert_eq!(rig.read(), [TIMED_OUT]);
}

#[test]
fn what_needs_no_settlement_has_all_the_time() {
    let mut rig = Rig::open_with(Limits { consumer_timeout_ms: 100_000, ..Limits::default() }, 0);
    rig.send(&consume(1, "q", "c", 2));
    rig.deliver(1, "m");
    rig.read();
    rig.advance_ms(10_000_000);
    assert!(rig.read().is_empty());
    let mut rig = Rig::open_with(Limits { consumer_timeout_ms: 0, ..Limits::default() }, 0);
    rig.send(&consume(1, "q", "c", 0));
    rig.deliver(1, "m");
    rig.read();
    rig.advance_ms(100_000_000);
    assert!(rig.read().is_empty());
}

#[test]
fn fetched_messages_have_to_be_settled_in_time_too() {
    let mut rig = hurried("other");
    rig.send(&[publish(1, "", "q", b"m"), get(1, "q", false)].concat());
    rig.read();
    rig.advance_ms(110_000);
    assert_eq!(rig.read(), [TIMED_OUT]);
}

#[test]
fn a_queue_may_say_how_long_its_consumers_may_take() {
    let mut rig = hurried("impatient");
    rig.deliver(1, "m");
    rig.read();
    rig.advance_ms(9_900);
    assert!(rig.read().is_empty());
    rig.advance_ms(2_200);
    assert_eq!(rig.read(), [TIMED_OUT.replace("100000 ms", "10000 ms")]);
}
