//! Streams: reading takes nothing away, and everybody has a place of their own.

use bytes::Bytes;
use crossdock_common::command::{BoundedBy, Lease, Outcome, Subscribe};
use crossdock_common::definition::{Definition, QueueSettings, QueueSpec, Stream};
use crossdock_common::event::{Delivery, Reply};
use crossdock_common::testkit::plain_format;
use crossdock_common::{Command, ConsumerId, Event, Format, FormatTag, Hub, Lane, Message, Refusal, Value};

use super::support::{Tester, World, bodies, message, queue_spec, table};
use crate::Paging;

/// Few messages stay in memory, and pages are short.
const TINY: Paging = Paging { memory_bytes_max: 8_000, read_ahead_bytes: 2_000, page_references: 8, part_bytes: 100 };
const COUNT: usize = 300;

fn stream(arguments: &[(&str, Value)]) -> QueueSpec {
    let kind = [("x-queue-type", Value::string("stream"))];
    QueueSpec { durable: true, ..queue_spec("s", &[&kind, arguments].concat()) }
}

fn declared(paging: Paging, arguments: &[(&str, Value)]) -> (World, Tester) {
    let world = World::paging(paging);
    let mut client = world.client("u");
    client.define(&world, Definition::DeclareQueue { spec: stream(arguments), passive: false }).expect("declares");
    (world, client)
}

fn filled(paging: Paging, arguments: &[(&str, Value)]) -> (World, Tester) {
    let (world, mut client) = declared(paging, arguments);
    publish(&world, &mut client, 0..COUNT);
    (world, client)
}

fn publish(world: &World, client: &mut Tester, range: std::ops::Range<usize>) {
    range.for_each(|number| client.publish(world, "", "s", &number.to_string()));
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn read(
    client: &mut Tester,
    world: &World,
    consumer: u64,
    window: u32,
    arguments: &[(&str, Value)],
) -> Result<Reply, Refusal> {
    let subscribe = Box::new(Subscribe {
        consumer: ConsumerId(consumer),
        lane: Lane(0),
        queue: "s".into(),
        presettled: false,
        exclusive: false,
        priority: 0,
        window,
        bounded_by: BoundedBy::Peer,
        arguments: table(arguments),
    });
    client.request(world, |request| Command::Subscribe { request, subscribe })
}

fn read_from(client: &mut Tester, world: &World, consumer: u64, offset: Value) {
    read(client, world, consumer, 10, &[("x-stream-offset", offset)]).expect("consumes");
}

/// Everything there is for the consumers, accepted as it comes.
fn take_all(client: &mut Tester, world: &World) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let deliveries = client.deliveries(world);
        if deliveries.is_empty() {
            return all;
        }
        client.settle(world, &deliveries, Outcome::Accepted);
        all.extend(deliveries);
    }
}

fn offsets(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.stream_offset.expect("of a stream")).collect()
}

fn first() -> Value {
    Value::string("first")
}

#[test]
fn everybody_reads_everything() {
    for paging in [Paging::default(), TINY] {
        let (world, mut client) = filled(paging, &[]);
        for consumer in 1..4 {
            let mut other = world.client("u");
            read_from(&mut other, &world, consumer, first());
            let all = take_all(&mut other, &world);
            assert_eq!(bodies(&all), numbers(0..COUNT));
            assert_eq!(offsets(&all), (0..COUNT as u64).collect::<Vec<_>>());
            assert!(all.iter().all(|delivery| delivery.delivery_count == 0));
        }
        let info = client.request(&world, |request| Command::Define {
            request,
            definition: Box::new(Definition::InspectQueue { name: "s".into() }),
        });
        assert!(matches!(info, Ok(Reply::QueueInfo(info)) if info.ready == COUNT as u64));
    }
}

#[test]
fn offsets_say_where_to_begin() {
    for paging in [Paging::default(), TINY] {
        let (world, mut client) = filled(paging, &[]);
        let last = COUNT as u64 - 1;
        for (offset, from) in [
            (first(), 0),
            (Value::I64(-1), 0),
            (Value::I64(0), 0),
            (Value::I32(100), 100),
            (Value::I64(last as i64), last),
            (Value::string("last"), last),
            (Value::I64(last as i64 + 1), last + 1),
            (Value::string("next"), last + 1),
        ] {
            let mut other = world.client("u");
            read_from(&mut other, &world, 1, offset.clone());
            assert_eq!(offsets(&take_all(&mut other, &world)), (from..=last).collect::<Vec<_>>(), "{offset:?}");
        }
        let mut patient = world.client("u");
        read_from(&mut patient, &world, 1, Value::I64(last as i64 + 3));
        publish(&world, &mut client, COUNT..COUNT + 5);
        assert_eq!(offsets(&take_all(&mut patient, &world)), [last + 3, last + 4, last + 5]);
    }
}

#[test]
fn an_empty_stream_begins_with_what_comes() {
    for offset in ["first", "last", "next"] {
        let (world, mut client) = declared(TINY, &[]);
        read_from(&mut client, &world, 1, Value::string(offset));
        publish(&world, &mut client, 0..50);
        assert_eq!(bodies(&take_all(&mut client, &world)), numbers(0..50), "{offset}");
    }
}

#[test]
fn who_keeps_up_reads_nothing_back() {
    let (world, mut client) = declared(Paging::default(), &[]);
    read_from(&mut client, &world, 1, Value::string("next"));
    for number in 0..50 {
        publish(&world, &mut client, number..number + 1);
        assert_eq!(world.reads_served(), 0);
        assert_eq!(bodies(&take_all(&mut client, &world)), numbers(number..number + 1));
    }
    assert!(world.broker.messages_memory_bytes() < 8_000, "{}", world.broker.messages_memory_bytes());
}

#[test]
fn times_say_where_to_begin() {
    for paging in [Paging::default(), TINY] {
        let (mut world, mut client) = declared(paging, &[]);
        let begin = world.now.unix.0;
        for hour in 0..10 {
            publish(&world, &mut client, hour * 10..hour * 10 + 10);
            world.advance_ms(3_600_000);
        }
        let at = |ms: u64| Value::Timestamp(ms as i64);
        for (offset, from) in [
            (at(0), 0),
            (at(begin), 0),
            (at(begin + 1), 10),
            (at(begin + 3_600_000), 10),
            (at(begin + 3 * 3_600_000), 30),
            (at(u64::MAX >> 2), 100),
            (Value::string("1h"), 90),
            (Value::string("90m"), 90),
            (Value::string("2h"), 80),
            (Value::string("7D"), 0),
        ] {
            let mut other = world.client("u");
            read_from(&mut other, &world, 1, offset.clone());
            assert_eq!(bodies(&take_all(&mut other, &world)), numbers(from..100), "{offset:?}");
        }
        world.snapshot();
        world.restart();
        let mut other = world.client("u");
        read_from(&mut other, &world, 1, Value::string("2h"));
        assert_eq!(bodies(&take_all(&mut other, &world)), numbers(80..100));
    }
}

#[test]
fn a_prefetch_window_holds_and_every_outcome_makes_room() {
    let (world, mut client) = filled(TINY, &[]);
    read(&mut client, &world, 1, 3, &[("x-stream-offset", first())]).expect("consumes");
    let outcomes = [Outcome::Accepted, Outcome::Rejected, Outcome::Released, Outcome::Modified { delay_ms: 5 }];
    let mut seen = Vec::new();
    for outcome in outcomes {
        let deliveries = client.deliveries(&world);
        assert_eq!(deliveries.len(), 3);
        assert!(client.deliveries(&world).is_empty());
        client.settle(&world, &deliveries, outcome);
        seen.extend(bodies(&deliveries));
    }
    assert_eq!(seen, numbers(0..12));
    world.check_ledgers();
}

#[test]
fn settling_again_makes_no_more_room() {
    let (world, mut client) = filled(TINY, &[]);
    read(&mut client, &world, 1, 2, &[("x-stream-offset", first())]).expect("consumes");
    let two = client.deliveries(&world);
    client.settle(&world, &two, Outcome::Accepted);
    client.settle(&world, &two, Outcome::Accepted);
    assert_eq!(client.deliveries(&world).len(), 2);
}

#[test]
fn whoever_leaves_begins_anew() {
    let (world, _client) = filled(TINY, &[]);
    let mut other = world.client("u");
    read_from(&mut other, &world, 1, first());
    assert_eq!(bodies(&other.deliveries(&world)), numbers(0..10));
    other.request(&world, |request| Command::Unsubscribe { request, consumer: ConsumerId(1) }).expect("ends");
    read_from(&mut other, &world, 2, Value::I64(5));
    let deliveries = other.deliveries(&world);
    assert_eq!(bodies(&deliveries), numbers(5..15));
    drop(other);
    let mut again = world.client("u");
    read_from(&mut again, &world, 1, first());
    assert_eq!(bodies(&take_all(&mut again, &world)), numbers(0..COUNT));
}

#[test]
fn a_stream_survives_a_restart_from_its_log_and_from_a_snapshot() {
    for snapshots in [0, 1, 2] {
        let (mut world, mut client) = filled(TINY, &[]);
        if snapshots > 0 {
            world.snapshot();
        }
        publish(&world, &mut client, COUNT..COUNT + 50);
        if snapshots > 1 {
            world.snapshot();
        }
        for _ in 0..2 {
            world.restart();
            let mut other = world.client("u");
            read_from(&mut other, &world, 1, first());
            let all = take_all(&mut other, &world);
            assert_eq!(bodies(&all), numbers(0..COUNT + 50), "{snapshots} snapshots");
            assert_eq!(offsets(&all), (0..COUNT as u64 + 50).collect::<Vec<_>>());
        }
        let mut other = world.client("u");
        read_from(&mut other, &world, 1, Value::string("next"));
        publish(&world, &mut other, 0..1);
        assert_eq!(offsets(&take_all(&mut other, &world)), [COUNT as u64 + 50], "no offset is given twice");
    }
}

#[test]
fn transient_and_short_lived_messages_stay_as_well() {
    let (mut world, mut client) = declared(TINY, &[]);
    let mut transient = message(&world, "", "s", "transient");
    transient.durable = false;
    transient.ttl_ms = Some(1);
    client.publish_message(&world, transient, Some(1));
    assert!(client.events.iter().any(|event| matches!(event, Event::Confirmed { .. })));
    world.advance_ms(1_000);
    world.restart();
    let mut other = world.client("u");
    read_from(&mut other, &world, 1, first());
    assert_eq!(bodies(&take_all(&mut other, &world)), ["transient"]);
}

#[test]
fn a_confirm_waits_for_the_disk_and_so_do_readers() {
    let (mut world, mut client) = declared(TINY, &[]);
    read_from(&mut client, &world, 1, Value::string("next"));
    world.instantly_durable = false;
    let message = message(&world, "", "s", "m");
    client.publish_message(&world, message, Some(1));
    let is_told = |event: &Event| matches!(event, Event::Confirmed { .. } | Event::Deliver(_));
    assert!(!client.events.iter().any(is_told), "{:?}", client.events);
    world.sync();
    assert_eq!(bodies(&client.deliveries(&world)), ["m"]);
}

#[test]
fn a_stream_that_is_too_long_loses_its_oldest_while_others_read() {
    for paging in [Paging::default(), TINY] {
        // Each body is three bytes, except the first hundred.
        let (mut world, mut client) = filled(paging, &[("x-max-length-bytes", Value::I32(300))]);
        let mut slow = world.client("u");
        read(&mut slow, &world, 1, 2, &[("x-stream-offset", first())]).expect("consumes");
        let two = slow.deliveries(&world);
        let begin = offsets(&two)[0] as usize;
        let slack = if paging == TINY { 2 * TINY.page_references } else { 0 };
        assert!((COUNT - 100 - slack..=COUNT - 100).contains(&begin), "{begin}");
        publish(&world, &mut client, COUNT..COUNT + 90);
        slow.settle(&world, &two, Outcome::Accepted);
        let rest = offsets(&take_all(&mut slow, &world));
        assert!(rest.is_sorted_by(|a, b| a < b));
        assert_eq!(*rest.last().expect("some"), COUNT as u64 + 89);
        world.check_ledgers();
        world.snapshot();
        let left = |world: &World| {
            let mut other = world.client("u");
            read_from(&mut other, world, 1, first());
            offsets(&take_all(&mut other, world))
        };
        let before = left(&world);
        assert!((100..=100 + slack).contains(&before.len()), "{}", before.len());
        world.restart();
        assert_eq!(left(&world), before);
    }
}

#[test]
fn the_newest_message_stays_however_long_it_is() {
    let (world, mut client) = declared(TINY, &[("x-max-length-bytes", Value::I32(3))]);
    client.publish(&world, "", "s", "long");
    client.publish(&world, "", "s", "longer");
    read_from(&mut client, &world, 1, first());
    assert_eq!(bodies(&take_all(&mut client, &world)), ["longer"]);
}

#[test]
fn old_messages_go_while_others_read() {
    for paging in [Paging::default(), TINY] {
        let (mut world, mut client) = declared(paging, &[("x-max-age", Value::string("1h"))]);
        for minute in 0..90 {
            publish(&world, &mut client, minute..minute + 1);
            world.advance_ms(60_000);
        }
        let mut other = world.client("u");
        read_from(&mut other, &world, 1, first());
        let left = offsets(&take_all(&mut other, &world));
        let slack = if paging == TINY { TINY.page_references as u64 } else { 0 };
        assert!((30 - slack..=31).contains(&left[0]), "{left:?}");
        assert_eq!(left.last(), Some(&89));
        world.advance_ms(7_200_000);
        world.check_ledgers();
        world.restart();
        world.advance_ms(2_000);
        assert!(take_all(&mut world.client("u"), &world).is_empty());
        assert_eq!(world.broker.ledger().0.held(), 0, "nobody comes, and they go all the same");
    }
}

#[test]
fn a_restart_knows_how_old_messages_are() {
    let (mut world, mut client) = declared(TINY, &[("x-max-age", Value::string("1h"))]);
    publish(&world, &mut client, 0..40);
    world.advance_ms(3_000_000);
    publish(&world, &mut client, 40..80);
    world.snapshot();
    world.restart();
    world.advance_ms(1_000_000);
    let mut other = world.client("u");
    read_from(&mut other, &world, 1, first());
    assert_eq!(bodies(&take_all(&mut other, &world)), numbers(40..80));
}

#[test]
fn segments_of_what_is_gone_are_released() {
    let (mut world, mut client) = filled(TINY, &[("x-max-age", Value::string("1h"))]);
    publish(&world, &mut client, 0..COUNT);
    world.advance_ms(7_200_000);
    world.sync();
    world.snapshot();
    let live: u64 = (0..super::support::SHARDS).map(|shard| world.broker.needs(shard).live_bytes).sum();
    assert_eq!(live, 0);
}

#[test]
fn large_bodies_are_read_as_often_as_anybody_wants() {
    let (mut world, mut client) = declared(TINY, &[("x-max-length-bytes", Value::I32(4_000))]);
    let body = |number: usize| format!("{number}").repeat(700);
    for number in 0..9 {
        client.publish(&world, "", "s", &body(number));
    }
    for _ in 0..2 {
        let mut other = world.client("u");
        read(&mut other, &world, 1, 1, &[("x-stream-offset", first())]).expect("consumes");
        assert_eq!(bodies(&take_all(&mut other, &world)), (4..9).map(body).collect::<Vec<_>>());
        world.snapshot();
        world.restart();
    }
}

/// A format whose properties are the value that filters look at.
#[derive(Debug)]
struct Valued;

impl Format for Valued {
    fn tag(&self) -> FormatTag {
        plain_format().tag()
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let value = String::from_utf8_lossy(&message.properties).into_owned();
        let headers = if value.is_empty() { vec![] } else { table(&[("x-stream-filter-value", Value::string(value))]) };
        Hub { application_properties: headers, ..Hub::default() }
    }
}

#[test]
fn filters_let_through_what_is_asked_for() {
    let (world, mut client) = declared(Paging::default(), &[]);
    let list = |values: &[&'static str]| Value::List(values.iter().map(|value| Value::string(*value)).collect());
    let wishes = [
        (Value::string("one"), false, vec![1]),
        (list(&["one", "two"]), false, vec![1, 2]),
        (Value::string("two"), true, vec![0, 2]),
        (Value::string("three"), false, vec![]),
    ];
    let mut readers: Vec<_> = wishes.iter().map(|_| world.client("u")).collect();
    for (reader, (filter, unfiltered, _)) in readers.iter_mut().zip(&wishes) {
        let unfiltered = ("x-stream-match-unfiltered", Value::Bool(*unfiltered));
        read(reader, &world, 1, 5, &[("x-stream-filter", filter.clone()), unfiltered]).expect("consumes");
    }
    for number in 0..60 {
        let properties = Bytes::from_static([b"" as &[u8], b"one", b"two"][number % 3]);
        let plain = message(&world, "", "s", &number.to_string());
        let mut valued = Message::new(&Valued, plain.exchange, plain.routing_key, properties, plain.body);
        valued.received_at = plain.received_at;
        client.publish_message(&world, valued, None);
    }
    for (reader, (_, _, wanted)) in readers.iter_mut().zip(&wishes) {
        let expected = (0..60).filter(|number| wanted.contains(&(number % 3))).map(|number| number.to_string());
        assert_eq!(bodies(&take_all(reader, &world)), expected.collect::<Vec<_>>());
    }
}

#[test]
fn whoever_reads_hears_that_the_stream_is_gone() {
    let (world, mut client) = filled(TINY, &[]);
    read_from(&mut client, &world, 1, first());
    let deliveries = client.deliveries(&world);
    let deleted = client.define(&world, Definition::DeleteQueue { name: "s".into(), if_unused: false, if_empty: true });
    assert!(matches!(deleted, Ok(Reply::Count(0))), "{deleted:?}");
    client.hear(&world);
    assert!(client.events.iter().any(|event| matches!(event, Event::ConsumerCancelled { .. })));
    client.settle(&world, &deliveries, Outcome::Accepted);
    world.check_ledgers();
    assert_eq!(world.broker.messages_memory_bytes(), 0);
}

#[test]
fn readers_of_other_protocols_begin_with_what_comes() {
    let (world, mut client) = filled(TINY, &[]);
    let subscribe = Box::new(Subscribe {
        consumer: ConsumerId(1),
        lane: Lane(0),
        queue: "s".into(),
        presettled: true,
        exclusive: false,
        priority: 0,
        window: 0,
        bounded_by: BoundedBy::Protocol,
        arguments: vec![],
    });
    client.request(&world, |request| Command::Subscribe { request, subscribe }).expect("consumes");
    publish(&world, &mut client, 0..3);
    assert_eq!(bodies(&client.deliveries(&world)), numbers(0..3));
}

#[test]
fn what_streams_cannot_do_is_refused_in_rabbitmqs_words() {
    let (world, mut client) = filled(TINY, &[]);
    client.fetch(&world, "s", 1, Lease::Connection);
    let text = |answer: Result<Reply, Refusal>| answer.expect_err("refused").to_string();
    let refused = client.events.iter().find_map(|event| match event {
        Event::Reply { result: Err(refusal), .. } => Some(refusal.to_string()),
        _ => None,
    });
    let of_streams = "not supported by stream queues queue 's' in vhost '/'";
    assert_eq!(refused, Some(format!("basic.get {of_streams}")));
    assert_eq!(text(client.purge(&world, "s")), format!("queue.purge {of_streams}"));
    for (value, told) in [
        (Value::string("sometimes"), "{longstr,<<\"sometimes\">>}"),
        (Value::string("5x"), "{longstr,<<\"5x\">>}"),
        (Value::Bool(true), "{bool,true}"),
    ] {
        let answer = read(&mut client, &world, 1, 1, &[("x-stream-offset", value)]);
        let invalid = "invalid arg 'x-stream-offset' for queue 's' in vhost '/': {invalid_stream_offset_arg";
        assert_eq!(text(answer), format!("{invalid},{told}}}"));
    }
}

#[test]
fn a_queue_that_an_earlier_version_took_for_a_stream_is_a_usual_one() {
    let spec = QueueSpec { durable: false, ..stream(&[]) };
    assert!(!crate::settings::is_stream(&spec, &"/".into()));
    let settings = crate::settings::effective(&stream(&[("x-max-age", Value::string("0s"))]), &"/".into());
    assert_eq!(settings.expect("fine").stream.expect("a stream").max_age_ms, None);
}

#[test]
fn an_age_that_a_stream_was_given_directly_goes_before_its_arguments_and_survives_a_restart() {
    let day = Some(Stream { max_age_ms: Some(86_400_000) });
    let settings = QueueSettings { stream: day, ..QueueSettings::default() };
    let spec = QueueSpec { settings: settings.into(), ..stream(&[("x-max-age", Value::string("7D"))]) };
    let effective = crate::settings::effective(&spec, &"/".into()).expect("fine");
    assert_eq!(effective.stream, day);
    let no_stream = QueueSpec { arguments: Vec::new(), ..spec.clone() };
    assert_eq!(crate::settings::effective(&no_stream, &"/".into()).expect("fine").stream, None);
    let mut world = World::paging(TINY);
    world.client("u").define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    world.restart();
    let mut client = world.client("u");
    match client.define(&world, Definition::InspectQueue { name: "s".into() }).expect("is there") {
        Reply::QueueInfo(info) => assert_eq!(info.spec.settings.stream, day),
        other => panic!("{other:?}"),
    }
}
