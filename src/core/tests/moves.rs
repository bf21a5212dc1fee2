use bytes::Bytes;
use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{DeadLetter, Definition, Fifo, QueueSettings, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::message::Deduplication;
use crossdock_common::moves::{MoveFailure, MoveInfo, MoveSpec, MoveStatus};
use crossdock_common::{Message, Refusal, Value};

use super::support::{Tester, World, bodies, message};
use crate::Paging;
use crate::definitions::shard_of;

fn spec(source: &str, destination: Option<&str>, per_second: Option<u32>) -> MoveSpec {
    MoveSpec { source: source.into(), destination: destination.map(Into::into), per_second }
}

fn ask(world: &World, client: &mut Tester, spec: MoveSpec) -> Result<MoveInfo, Refusal> {
    match client.define(world, Definition::StartMove(spec))? {
        Reply::Moves(infos) => Ok(infos[0].clone()),
        other => panic!("no task: {other:?}"),
    }
}

/// Begins a task and lets it go on.
fn start(world: &mut World, client: &mut Tester, spec: MoveSpec) -> u64 {
    let number = ask(world, client, spec).expect("begins").number;
    world.advance_ms(0);
    number
}

fn list(world: &World, client: &mut Tester, source: &str) -> Vec<MoveInfo> {
    match client.define(world, Definition::ListMoves { source: source.into() }) {
        Ok(Reply::Moves(infos)) => infos,
        other => panic!("no list: {other:?}"),
    }
}

fn last(world: &World, client: &mut Tester, source: &str) -> (MoveStatus, u64, u64) {
    let info = list(world, client, source).remove(0);
    (info.status, info.moved, info.to_move)
}

/// Queues `source` and `other` whose letters go to `dead`, and an empty `target`.
fn scene(world: &World) -> Tester {
    let mut client = world.client("u");
    let letters = [("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string("dead"))];
    client.queue(world, "source", &letters);
    client.queue(world, "other", &letters);
    client.queue(world, "dead", &[]);
    client.queue(world, "target", &[]);
    client
}

fn shard(world: &World, queue: &str) -> usize {
    let vhost = "/".into();
    shard_of(world.broker.queue_view(world.now, &vhost, &queue.into()).expect("a queue").id)
}

/// Makes a queue in another shard than that of `dead`.
fn far_target(world: &World, client: &mut Tester) -> String {
    let is_far = |name: &String| {
        client.queue(world, name, &[]);
        shard(world, name) != shard(world, "dead")
    };
    (0..).map(|number| format!("target {number}")).find(is_far).expect("there are two shards")
}

fn fill(world: &World, client: &mut Tester, queue: &str, count: usize) {
    (0..count).for_each(|index| client.publish(world, "", queue, &format!("{queue} {index}")));
}

fn kill(world: &World, client: &mut Tester, queue: &str) {
    let all = client.fetch(world, queue, u32::MAX, Lease::Connection);
    client.settle(world, &all, Outcome::Rejected);
}

#[test]
fn messages_move_in_order_and_are_like_new() {
    let mut world = World::new();
    let mut client = scene(&world);
    fill(&world, &mut client, "source", 3);
    kill(&world, &mut client, "source");
    start(&mut world, &mut client, spec("dead", Some("target"), None));
    assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Completed, 3, 3));
    let moved = client.fetch(&world, "target", u32::MAX, Lease::Connection);
    assert_eq!(bodies(&moved), ["source 0", "source 1", "source 2"]);
    assert!(moved.iter().all(|delivery| delivery.message.deaths().is_empty() && delivery.delivery_count == 0));
    assert!(client.drain(&world, "dead").is_empty());
    world.check_ledgers();
}

#[test]
fn without_a_destination_each_goes_where_it_died() {
    let mut world = World::new();
    let mut client = scene(&world);
    for queue in ["source", "other"] {
        fill(&world, &mut client, queue, 2);
        kill(&world, &mut client, queue);
    }
    start(&mut world, &mut client, spec("dead", None, None));
    assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Completed, 4, 4));
    assert_eq!(client.drain(&world, "source"), ["source 0", "source 1"]);
    assert_eq!(client.drain(&world, "other"), ["other 0", "other 1"]);
}

#[test]
fn what_cannot_be_moved_stays_where_it_is_and_ends_the_task() {
    let mut world = World::new();
    let mut client = scene(&world);
    fill(&world, &mut client, "dead", 3);
    start(&mut world, &mut client, spec("dead", None, None));
    let failed = |failure| (MoveStatus::Failed(failure), 0, 3);
    assert_eq!(last(&world, &mut client, "dead"), failed(MoveFailure::UnknownSource));
    client.queue(&world, "full", &[("x-max-length", Value::I64(0)), ("x-overflow", Value::string("reject-publish"))]);
    start(&mut world, &mut client, spec("dead", Some("full"), None));
    assert_eq!(last(&world, &mut client, "dead"), failed(MoveFailure::Refused));
    ask(&world, &mut client, spec("dead", Some("target"), None)).expect("begins");
    let gone = Definition::DeleteQueue { name: "target".into(), if_unused: false, if_empty: false };
    client.define(&world, gone).expect("deleted");
    world.advance_ms(0);
    assert_eq!(last(&world, &mut client, "dead"), failed(MoveFailure::NoDestination));
    assert_eq!(client.drain(&world, "dead"), ["dead 0", "dead 1", "dead 2"]);
}

#[test]
fn a_rate_is_kept() {
    let mut world = World::new();
    let mut client = scene(&world);
    fill(&world, &mut client, "dead", 5);
    start(&mut world, &mut client, spec("dead", Some("target"), Some(2)));
    for moved in [1, 2, 3] {
        assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Running, moved, 5));
        world.advance_ms(499);
        assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Running, moved, 5));
        world.advance_ms(1);
    }
    world.advance_ms(500);
    assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Completed, 5, 5));
}

#[test]
fn a_task_can_be_told_to_end_and_another_begins() {
    let mut world = World::new();
    let mut client = scene(&world);
    fill(&world, &mut client, "dead", 5);
    let number = start(&mut world, &mut client, spec("dead", Some("target"), Some(1)));
    assert!(matches!(
        ask(&world, &mut client, spec("dead", Some("target"), None)),
        Err(Refusal::PreconditionFailed(_))
    ));
    let cancel = |number| Definition::CancelMove { source: "dead".into(), number };
    assert!(matches!(client.define(&world, cancel(number)), Ok(Reply::Count(1))));
    world.advance_ms(5_000);
    assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Cancelled, 1, 5));
    for number in [number, number + 1] {
        assert!(matches!(client.define(&world, cancel(number)), Err(Refusal::PreconditionFailed(_))));
    }
    let second = start(&mut world, &mut client, spec("dead", Some("target"), None));
    assert!(second > number);
    assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Completed, 4, 4));
    assert_eq!(client.drain(&world, "target").len(), 5);
}

#[test]
fn ten_ended_tasks_are_remembered_and_over_restarts() {
    let mut world = World::new();
    let mut client = scene(&world);
    for _ in 0..12 {
        fill(&world, &mut client, "dead", 1);
        start(&mut world, &mut client, spec("dead", Some("target"), None));
    }
    let before = list(&world, &mut client, "dead");
    assert_eq!(before.len(), 10);
    assert!(before.is_sorted_by(|one, other| one.number > other.number));
    world.restart();
    let mut client = world.client("u");
    assert_eq!(list(&world, &mut client, "dead"), before);
}

#[test]
fn a_task_goes_on_after_a_restart() {
    let mut world = World::new();
    let mut client = scene(&world);
    fill(&world, &mut client, "dead", 4);
    start(&mut world, &mut client, spec("dead", Some("target"), Some(1)));
    world.advance_ms(1_000);
    world.restart();
    let mut client = world.client("u");
    assert_eq!(last(&world, &mut client, "dead").0, MoveStatus::Running);
    world.advance_ms(3_000);
    world.advance_ms(3_000);
    world.advance_ms(3_000);
    assert_eq!(last(&world, &mut client, "dead").0, MoveStatus::Completed);
    assert_eq!(client.drain(&world, "target"), ["dead 0", "dead 1", "dead 2", "dead 3"]);
}

/// The logs of two shards: that of a queue whose messages are being moved, and that of the queue that they go to.
struct Midway {
    world: World,
    source: usize,
    target: usize,
    target_queue: String,
    /// Batches of each log before anything had followed from what was durable.
    first: Vec<usize>,
}

impl Midway {
    fn new() -> Self {
        let mut world = World::new();
        let mut client = scene(&world);
        let target_queue = far_target(&world, &mut client);
        fill(&world, &mut client, "dead", 3);
        world.instantly_durable = false;
        client.ask(&world, |request| crossdock_common::Command::Define {
            request,
            definition: Box::new(Definition::StartMove(spec("dead", Some(&target_queue), None))),
        });
        world.advance_ms(0);
        let first = world.batches();
        world.sync_once();
        let (source, target) = (shard(&world, "dead") + 1, shard(&world, &target_queue) + 1);
        Self { world, source, target, target_queue, first }
    }

    /// The broker dies and starts again from so many batches of each log.
    fn crash(mut self, kept: &[usize]) {
        self.world.crash(kept);
        self.world.instantly_durable = true;
        let mut client = self.world.client("u");
        self.world.advance_ms(0);
        let mut found = client.drain(&self.world, &self.target_queue);
        found.extend(client.drain(&self.world, "dead"));
        found.sort();
        assert_eq!(found, ["dead 0", "dead 1", "dead 2"], "{kept:?}");
        assert_eq!(last(&self.world, &mut client, "dead").0, MoveStatus::Completed);
    }
}

/// Every point at which either log may end.
#[test]
fn a_crash_neither_loses_nor_doubles() {
    let mut crashes = 0;
    for (in_target, in_source) in (0..10).flat_map(|target| (0..10).map(move |source| (target, source))) {
        let midway = Midway::new();
        let mut kept = midway.world.batches();
        let (target, source) = (midway.first[midway.target] + in_target, midway.first[midway.source] + in_source);
        if target > kept[midway.target] || source > kept[midway.source] {
            continue;
        }
        (kept[midway.target], kept[midway.source]) = (target, source);
        // Nothing follows from a log before it is durable: who has settled has heard that all copies are.
        let has_settled =
            in_source > 0 && in_target < midway.world.batches()[midway.target] - midway.first[midway.target];
        if !has_settled {
            crashes += 1;
            midway.crash(&kept);
        }
    }
    assert!(crashes > 1, "{crashes}");
}

/// A snapshot has the copies, and not where they come from, which the log said that it stands for.
#[test]
fn a_snapshot_between_copy_and_settlement_doubles_nothing() {
    for in_source in 0..10 {
        let midway = Midway::new();
        // The second one stands for what was durable after the first.
        (0..2).for_each(|_| midway.world.snapshot_of(midway.target));
        let mut kept = midway.world.batches();
        if midway.first[midway.source] + in_source <= kept[midway.source] {
            kept[midway.source] = midway.first[midway.source] + in_source;
            midway.crash(&kept);
        }
    }
}

#[test]
fn what_is_on_disk_is_moved_too() {
    let paging = Paging { memory_bytes_max: 400, read_ahead_bytes: 300, page_references: 4, part_bytes: 1 << 20 };
    let mut world = World::paging(paging);
    let mut client = scene(&world);
    fill(&world, &mut client, "dead", 100);
    start(&mut world, &mut client, spec("dead", Some("target"), None));
    assert_eq!(last(&world, &mut client, "dead"), (MoveStatus::Completed, 100, 100));
    let expected: Vec<String> = (0..100).map(|index| format!("dead {index}")).collect();
    assert_eq!(client.drain(&world, "target"), expected);
    world.check_ledgers();
}

fn fifo(world: &World, client: &mut Tester, name: &str, letters: Option<&str>) {
    let settings = QueueSettings {
        fifo: Some(Fifo::default()),
        delivery_limit: letters.map(|_| 1),
        dead_letter: letters.map(|queue| DeadLetter {
            exchange: "".into(),
            routing_key: Some(Bytes::copy_from_slice(queue.as_bytes())),
        }),
        ..QueueSettings::default()
    };
    let spec = QueueSpec { name: name.into(), durable: true, settings: settings.into(), ..QueueSpec::default() };
    client.define(world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
}

fn of_group(world: &World, queue: &str, group: &str, body: &str) -> Message {
    let mut message = message(world, "", queue, body);
    let rare = message.rare_mut();
    rare.group = Some(group.into());
    rare.deduplication = Some(Deduplication { id: body.into(), message_id: 1 });
    message
}

#[test]
fn groups_keep_their_order_and_known_messages_are_not_swallowed() {
    let mut world = World::new();
    let mut client = world.client("u");
    fifo(&world, &mut client, "dead.fifo", None);
    fifo(&world, &mut client, "q.fifo", Some("dead.fifo"));
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3"), ("b", "b2")] {
        client.publish_message(&world, of_group(&world, "q.fifo", group, body), None);
    }
    for _ in 0..3 {
        kill(&world, &mut client, "q.fifo");
    }
    start(&mut world, &mut client, spec("dead.fifo", None, None));
    assert_eq!(last(&world, &mut client, "dead.fifo"), (MoveStatus::Completed, 5, 5));
    let mut found = Vec::new();
    for _ in 0..3 {
        found.extend(client.drain(&world, "q.fifo"));
    }
    let of = |group: &str| found.iter().filter(|body| body.starts_with(group)).cloned().collect::<Vec<_>>();
    assert_eq!((of("a"), of("b")), (vec!["a1".into(), "a2".into(), "a3".into()], vec!["b1".into(), "b2".into()]));
}
