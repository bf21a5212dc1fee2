//! A shard: some of the queues, driven in batches by synchronous code.
//!
//! A call takes a batch and `now`, changes the queues, writes records to the shard's log, and leaves effects: connections to
//! wake and work for others. Durable messages become ready, and publishers hear of them, only after the log says that the
//! batch is durable ([`Shard::durable`]); until then they wait in `awaiting`, and so does whatever came after them for the
//! same queue, so that the order of a publisher's messages holds.

pub(crate) mod arrivals;
mod awaiting;
pub(crate) mod browse;
pub(crate) mod command;
mod consume;
mod consumers;
mod dead_letter;
mod deduplication;
mod delays;
mod entry;
pub(crate) mod exactly_once;
mod groups;
mod hand_out;
pub(crate) mod landings;
mod large;
mod late;
pub(crate) mod ledger;
pub(crate) mod letters;
mod level;
mod manage;
pub(crate) mod move_task;
pub(crate) mod paging;
mod part;
pub(crate) mod publications;
mod publish;
mod queue;
pub(crate) mod reading;
mod ready;
pub(crate) mod replay;
pub(crate) mod retained;
pub(crate) mod runs;
pub(crate) mod segments;
mod settle;
pub(crate) mod snapshot;
pub(crate) mod stored;
pub(crate) mod stream;
mod timers;
pub(crate) mod traffic;
mod unsettled;
pub(crate) mod view;
mod wishes;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, BytesMut};
use crossdock_common::definition::QueueSettings;
use crossdock_common::event::Reply;
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Format, Instant, Now, Refusal, RequestId};
use hashbrown::HashMap;

use crate::log::{Location, Log, RecordKind, Sequence, Urgency};
use crate::outbox::Outbox;
use arrivals::Arrivals;
use awaiting::Waiting;
use browse::Browsers;
use command::{Confirmee, Effects, Followup, Publishing, ShardCommand};
use landings::Landings;
use large::LargeBodies;
use paging::{Memory, Paging};
use queue::{HandOut, Queue};
use retained::Retained;
use segments::Segments;
use timers::{Timer, Timers};

/// A batch larger than this is handed to the log before the work of the call is done.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Added to the shares of a publish that was refused: it is never confirmed, nor refused again.
const REFUSED: usize = 1 << 16;
/// Settlements in one record.
const SETTLED_MAX: usize = 65_536;

/// What the core can read of messages written by protocols it does not know.
pub type Formats = Arc<Vec<&'static dyn Format>>;

/// Some of the queues.
pub(crate) struct Shard {
    /// Boxed: growing the map moves pointers, not queues.
    queues: HashMap<QueueId, Box<Queue>, foldhash::fast::RandomState>,
    log: Box<dyn Log>,
    waiting: Waiting,
    large: LargeBodies,
    pub(crate) landings: Landings,
    pub(crate) arrivals: Arrivals,
    /// What the batch being built needs.
    urgency: Urgency,
    segments: Segments,
    /// Pages that were read back: still needed if the broker starts from the last snapshot.
    retired: Vec<Location>,
    /// Those of them that the snapshot being written does without.
    retiring: Vec<Location>,
    memory: Memory,
    timers: Timers,
    browsers: Browsers,
    pub(crate) retained: Retained,
    formats: Formats,
    dirty: Vec<QueueId>,
    settled: Vec<(QueueId, u64)>,
    /// Settled in FIFO queues: their groups wait for that to be safe.
    leaving: Vec<(QueueId, u64)>,
    /// Publishers whose message was known, and has arrived by now.
    arrived: Vec<Confirmee>,
    /// The ledgers of queues that are gone.
    closed: ledger::Ledger,
    /// What they handed out.
    closed_traffic: traffic::Traffic,
    scratch: BytesMut,
    /// Those of the queue that was made last.
    last_settings: Arc<QueueSettings>,
}

/// What a queue holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be handed out.
    pub ready: u64,
    /// Handed out.
    pub unsettled: u64,
    /// Not visible yet.
    pub delayed: u64,
    /// Neither: reading them has failed since the start.
    pub unreadable: u64,
    pub consumers: u32,
}

impl Shard {
    pub(crate) fn new(log: Box<dyn Log>, formats: Formats) -> Self {
        Self {
            queues: HashMap::default(),
            log,
            waiting: Waiting::default(),
            large: LargeBodies::default(),
            landings: Landings::default(),
            arrivals: Arrivals::default(),
            urgency: Urgency::Write,
            segments: Segments::default(),
            retired: Vec::new(),
            retiring: Vec::new(),
            memory: Memory::default(),
            timers: Timers::default(),
            browsers: Browsers::default(),
            retained: Retained::default(),
            formats,
            dirty: Vec::new(),
            settled: Vec::new(),
            leaving: Vec::new(),
            arrived: Vec::new(),
            closed: ledger::Ledger::default(),
            closed_traffic: traffic::Traffic::default(),
            scratch: BytesMut::new(),
            last_settings: Arc::default(),
        }
    }

    /// Carries out a batch.
    pub(crate) fn handle(&mut self, now: Now, batch: &mut Vec<ShardCommand>, effects: &mut Effects) {
        for command in batch.drain(..) {
            self.command(now, command, effects);
            self.commit_if_large();
        }
        self.finish(now, effects);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Now, effects: &mut Effects) {
        while let Some(timer) = self.timers.pop_due(now.instant) {
            self.fire(now, timer, effects);
            self.commit_if_large();
        }
        self.finish(now, effects);
    }

    /// When [`tick`](Self::tick) wants to be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Where records go from now on, and how much stays in memory.
    pub(crate) fn start(&mut self, log: Box<dyn Log>, paging: Paging) {
        self.waiting.start_after(Sequence(log.next_sequence().0.saturating_sub(1)));
        log.segments().into_iter().for_each(|segment| self.segments.saw(segment));
        self.log = log;
        self.memory.paging = paging;
    }

    fn command(&mut self, now: Now, command: ShardCommand, effects: &mut Effects) {
        match command {
            ShardCommand::Enqueue { message, targets, confirm } => {
                self.enqueue(now, message, targets, confirm, effects);
            }
            ShardCommand::EnqueueRun(run) => self.enqueue_run(now, *run, effects),
            ShardCommand::Settle { deliveries, outcome, request } => {
                self.settle(now, &deliveries, outcome, request, effects);
            }
            ShardCommand::Subscribe { queue, consumer, request } => {
                let outbox = consumer.outbox.clone();
                let result = self.subscribe(queue, *consumer);
                if let Some(request) = request {
                    reply(request, &outbox, result, effects);
                }
            }
            ShardCommand::Unsubscribe { queue, connection, consumer, request } => {
                self.unsubscribe(now, queue, connection, consumer, effects);
                if let Some((request, outbox)) = request {
                    reply(request, &outbox, Ok(Reply::Done), effects);
                }
            }
            ShardCommand::Window { queue, connection, consumer, window } => {
                self.with_queue(queue, |queue| queue.consumers.set_window(connection, consumer, window));
            }
            ShardCommand::Resume { queue } => self.mark(queue),
            ShardCommand::Fetch { queue, fetch } => self.fetch(now, queue, *fetch, effects),
            ShardCommand::Browse { queue, browse } => self.browse(now, queue, *browse, effects),
            ShardCommand::Purge { queue, purge, shares } => self.purge(now, queue, purge, shares, effects),
            ShardCommand::ExtendLease { delivery, lease_ms, request, outbox } => {
                self.extend_lease(now, delivery, lease_ms, request, &outbox, effects);
            }
            ShardCommand::SettleLate { delivery, removes, request, outbox } => {
                self.settle_late(delivery, removes, request, outbox, effects);
            }
            ShardCommand::CancelDelayed { queue, position, request, outbox } => {
                self.cancel_delayed(queue, position, request, outbox, effects);
            }
            ShardCommand::Detach { queue, connection, holds } => self.detach(now, queue, (connection, holds), effects),
            ShardCommand::Retain { vhost, message, confirm } => self.retain(&vhost, message, confirm, effects),
            ShardCommand::SessionState { queue, key, value, request } => {
                self.set_session_state(queue, key, value, request, effects);
            }
            ShardCommand::Publication { session, id, number, accepted } => {
                self.publication_arrived(session, (id, number), accepted, effects);
            }
            ShardCommand::ReleasePublication { session, id, request } => {
                self.release_publication(session, id, request, effects);
            }
            ShardCommand::Departed { queue, position } => {
                self.departed(now, queue, position, effects);
                self.send_due(now, queue, effects);
            }
            ShardCommand::Undelivered { queue, position, taken } => {
                self.letter_undelivered(now, queue, position, taken);
            }
        }
    }

    fn fire(&mut self, now: Now, timer: Timer, effects: &mut Effects) {
        match timer {
            Timer::Lease { queue, position, lease } => self.lease_ended(now, queue, position, lease, effects),
            Timer::Expiry { queue } => self.with_queue(queue, Queue::expiry_timer_fired),
            Timer::Delay { queue } => self.delay_ended(now, queue, effects),
            Timer::Fetch { queue, connection, request } => self.fetch_timed_out(queue, connection, request, effects),
            Timer::Unused { queue } => self.unused(now, queue, effects),
            Timer::Letters { queue } => self.send_kept(now, queue, effects),
            Timer::Move { queue } => self.mark(queue),
        }
    }

    /// Hands out what became ready, writes what was settled, and gives the batch to the log.
    fn finish(&mut self, now: Now, effects: &mut Effects) {
        while let Some(id) = self.dirty.pop() {
            self.dispatch(now, id, effects);
            // One message can complete a page in each of a thousand queues.
            self.commit_if_large();
        }
        self.arrived.drain(..).for_each(|confirmee| confirm(confirmee, effects));
        self.write_settled();
        let urgent_before = self.waiting.urgent_to();
        self.release_groups(effects);
        self.commit();
        let urgent = self.waiting.urgent_to();
        effects.hurried = Some(urgent).filter(|urgent| *urgent > urgent_before).or(effects.hurried);
    }

    fn dispatch(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.dirty = false;
        queue.deduplication.iter_mut().for_each(|known| known.forget_old(now.instant));
        if queue.stream.is_some() {
            return self.dispatch_stream(now, id, effects);
        }
        self.drop_expired(now, id, effects);
        self.drop_overflow(now, id, effects);
        let unload = self.memory.is_short();
        let Self { queues, timers, settled, log, segments, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        queue.hand_out(now, unload, timers, effects, |what| note(id, what, settled, segments, log.as_mut()));
        if queue.moving.is_some() {
            self.move_on(now, id, effects);
        }
        self.turn_pages(id, effects);
    }

    fn with_queue(&mut self, id: QueueId, change: impl FnOnce(&mut Queue)) {
        if let Some(queue) = self.queues.get_mut(&id) {
            change(queue);
            self.mark(id);
        }
    }

    /// Puts the queue on the list of those that may have something to hand out.
    fn mark(&mut self, id: QueueId) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.mark(&mut self.dirty);
        }
    }

    /// Writes the settlements of this batch, one record for each run of one queue.
    fn write_settled(&mut self) {
        let mut settled = std::mem::take(&mut self.settled);
        for run in settled.chunk_by(|a, b| a.0 == b.0).flat_map(|run| run.chunks(SETTLED_MAX)) {
            self.scratch.clear();
            run.iter().for_each(|(_, position)| self.scratch.put_u64_le(*position));
            self.log.push(RecordKind::Settled, run[0].0.0, &[&self.scratch]);
            self.commit_if_large();
        }
        settled.clear();
        self.settled = settled;
    }

    /// A batch must fit into a segment of the journal: what one read brought may be more.
    fn commit_if_large(&mut self) {
        if self.log.len_bytes() >= BATCH_BYTES_MAX {
            self.commit();
        }
    }

    fn commit(&mut self) {
        if self.log.is_empty() {
            return;
        }
        let urgency = std::mem::replace(&mut self.urgency, Urgency::Write);
        self.waiting.handed_over(self.log.next_sequence(), urgency);
        self.log.commit(urgency);
    }
}

/// Writes down what handing out a message means.
fn note(id: QueueId, what: HandOut, settled: &mut Vec<(QueueId, u64)>, segments: &mut Segments, log: &mut dyn Log) {
    match what {
        HandOut::Settled { position, logged, stored } => {
            stored.iter().for_each(|location| segments.remove_message(id, position, location));
            if logged {
                settled.push((id, position));
            }
        }
        HandOut::Attempt { position, attempts } => {
            log.push(RecordKind::Attempts, id.0, &[&position.to_le_bytes(), &attempts.to_le_bytes()]);
        }
    }
}

/// Tells whoever waits for something that it is safe, once all shards have said so.
pub(crate) fn confirm(confirmee: Confirmee, effects: &mut Effects) {
    let is_last =
        |shares: &command::Shares| shares.as_ref().is_none_or(|shares| shares.fetch_sub(1, Ordering::AcqRel) == 1);
    match confirmee {
        Confirmee::Publisher { outbox, lane, confirm, shares } if is_last(&shares) => {
            outbox.confirm(lane, confirm..confirm + 1);
            effects.wake(&outbox);
        }
        Confirmee::DeadLetter { queue, position, shares } if is_last(&shares) => {
            effects.followups.push_back(Followup::Departed { queue, position });
        }
        Confirmee::Move { number, ended } => effects.followups.push_back(Followup::MoveEnded { number, ended }),
        Confirmee::Letter(posted) => posted.answered(true, effects),
        Confirmee::Publication(publishing) if publishing.shares.fetch_sub(1, Ordering::AcqRel) == 1 => {
            let Publishing { session, id, number, .. } = *publishing;
            effects.followups.push_back(Followup::Publication { session, id, number, accepted: true });
        }
        Confirmee::Purge { purge, shares } if is_last(&shares) => {
            let count = purge.count.load(Ordering::Acquire);
            purge.outbox.push_held(Event::Reply { request: purge.request, result: Ok(Reply::Count(count)) });
            effects.wake(&purge.outbox);
        }
        _ => {}
    }
}

fn reply(request: RequestId, outbox: &Arc<Outbox>, result: Result<Reply, Refusal>, effects: &mut Effects) {
    outbox.push(Event::Reply { request, result });
    effects.wake(outbox);
}

/// Starts the clock of `x-expires` if nobody uses the queue.
fn watch_unused(queue: &mut Queue, timers: &mut Timers, now: Instant) {
    let Some(expires_ms) = queue.settings.expires_ms else { return };
    if queue.is_unused() {
        queue.unused_since = now;
        timers.add(now.after_ms(expires_ms), Timer::Unused { queue: queue.id });
    }
}
