//! Copies messages of a FIFO topic's archive to a subscription that asked for them (`protocols/aws/src/sns/replay.rs`).
//!
//! How far it has read is seen by marks that it puts into the archive itself. When the first mark is reached, new messages go directly to
//! the subscription again; those that came meanwhile are before a second one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossdock_aws::outward::{ReplayStatus, ReplayTask};
use crossdock_common::command::Outcome;
use crossdock_common::definition::{Definition, Kept};
use crossdock_common::event::{Delivery, Reply};
use crossdock_common::{Command, Event, Message, Name, Refusal, Text, Value};
use tokio::time::{Instant, sleep};

use super::depot::Depot;
use super::link::{Actor, Link, Published};

/// Messages that are copied together.
const WINDOW: u32 = 64;
/// Until a queue that takes nothing is tried again.
const REST: Duration = Duration::from_secs(1);
/// How far it has got is kept so often at most: after a kill, what was copied since then is copied again.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Why it stopped.
enum End {
    Done,
    /// It is not for this replayer to go on: the subscription is gone, or wants something else now, or the broker is being stopped.
    Unwanted,
}

pub(super) struct Replayer {
    depot: Arc<Depot>,
    vhost: Name,
    task: ReplayTask,
    reads: Link,
    writes: Link,
    waiting: VecDeque<Delivery>,
    /// The number behind the last message that was copied.
    position: Option<u64>,
    kept_at: Instant,
    marks: u64,
}

impl Replayer {
    /// Carries a replay out, from where it was when the broker was stopped.
    pub(super) async fn run(depot: Arc<Depot>, vhost: Name, task: ReplayTask) {
        let link = || Link::open(&depot.engine, vhost.clone(), Actor::Broker);
        let (reads, writes) = (link(), link());
        // Numbers of marks are not those of an earlier process.
        let marks = depot.engine.clock.now().unix.0;
        let (waiting, kept_at) = (VecDeque::new(), Instant::now());
        let mut replayer = Self { depot, vhost, task, reads, writes, waiting, position: None, kept_at, marks };
        if let Err(reason) = replayer.replay().await {
            tracing::warn!(topic = %replayer.task.topic(), reason = ?reason, "a replay failed");
            let _ = replayer.set_status(ReplayStatus::Failed).await;
        }
        if replayer.is_orphan() {
            let _ = replayer.set_document(None).await;
        }
    }

    /// The subscription is gone, and nobody asks any more how far its replay was.
    fn is_orphan(&self) -> bool {
        let bindings = self.depot.engine.broker.bindings_from(&self.vhost, self.task.topic());
        !bindings.iter().any(|binding| self.task.is_of(binding))
    }

    async fn replay(&mut self) -> Result<End, String> {
        self.position = self.kept_position().await;
        self.begin_reading();
        if self.task.status() != ReplayStatus::CatchingUp {
            self.set_status(ReplayStatus::InProgress).await?;
            if let Some(end) = self.read_to_the_end().await? {
                return Ok(end);
            }
            self.keep_position().await?;
            self.set_status(ReplayStatus::CatchingUp).await?;
        }
        match self.read_to_mark().await? {
            End::Done => self.complete().await,
            End::Unwanted => Ok(End::Unwanted),
        }
    }

    /// Up to the policy's end, or to where the archive ends now: then there is more to do.
    async fn read_to_the_end(&mut self) -> Result<Option<End>, String> {
        loop {
            if let End::Unwanted = self.read_to_mark().await? {
                return Ok(Some(End::Unwanted));
            }
            let Some(end) = self.task.end() else { return Ok(None) };
            let now = self.depot.engine.clock.now().unix;
            if now > end {
                return self.complete().await.map(Some);
            }
            sleep(Duration::from_millis(end.0 - now.0).min(REST)).await;
        }
    }

    async fn complete(&mut self) -> Result<End, String> {
        self.set_status(ReplayStatus::Completed).await?;
        self.set_document(None).await?;
        tracing::info!(topic = %self.task.topic(), "a replay is complete");
        Ok(End::Done)
    }

    fn begin_reading(&mut self) {
        let offset = match self.position {
            Some(position) => Value::I64(i64::try_from(position).unwrap_or(i64::MAX)),
            None => Value::Timestamp(i64::try_from(self.task.start().0).unwrap_or(i64::MAX)),
        };
        let queue = self.task.archive();
        self.reads.consume(queue, WINDOW, vec![(Text::from_static("x-stream-offset"), offset)]);
    }

    /// Puts a mark into the archive, and copies what is before it.
    async fn read_to_mark(&mut self) -> Result<End, String> {
        self.marks += 1;
        if !self.put_mark().await? {
            return Ok(End::Unwanted);
        }
        loop {
            if (self.waiting.is_empty() && !self.hear().await?) || !self.is_wanted() {
                return Ok(End::Unwanted);
            }
            if self.copy().await? {
                return Ok(End::Done);
            }
        }
    }

    async fn put_mark(&mut self) -> Result<bool, String> {
        loop {
            let mark = self.task.mark(self.marks, self.depot.engine.clock.now().unix);
            match self.writes.publish(mark).await {
                Published::Confirmed => return Ok(true),
                Published::Unroutable => return Err("the archive is gone".to_owned()),
                Published::Rejected(_) if !self.is_wanted() => return Ok(false),
                Published::Rejected(_) => sleep(REST).await,
            }
        }
    }

    /// Waits for messages of the archive. False if there are none any more.
    async fn hear(&mut self) -> Result<bool, String> {
        let mut heard = Vec::new();
        loop {
            self.reads.round(&mut heard).map_err(|refusal| refusal.to_string())?;
            for event in heard.drain(..) {
                match event {
                    Event::Deliver(deliveries) => self.waiting.extend(deliveries),
                    Event::Reply { result: Err(refusal), .. } => return Err(refusal.to_string()),
                    Event::ConsumerCancelled { .. } | Event::Forced { .. } => {
                        return Err("the archive is gone".to_owned());
                    }
                    _ => {}
                }
            }
            if !self.waiting.is_empty() {
                return Ok(true);
            }
            // The replay goes on in the next process.
            if self.reads.must_leave() {
                return Ok(false);
            }
            self.reads.heard().await;
        }
    }

    /// The subscription is still there and wants this replay, and there is time for it.
    fn is_wanted(&self) -> bool {
        if self.writes.must_leave() {
            return false;
        }
        let bindings = self.depot.engine.broker.bindings_from(&self.vhost, self.task.topic());
        bindings.iter().filter_map(|binding| ReplayTask::of(binding)).any(|task| task.id() == self.task.id())
    }

    /// Copies what has been read, up to the mark. True if it was there.
    async fn copy(&mut self) -> Result<bool, String> {
        let mark_at = self.waiting.iter().position(|delivery| self.task.is_mark(&delivery.message, self.marks));
        let count = mark_at.map_or(self.waiting.len(), |at| at + 1);
        let taken: Vec<Delivery> = self.waiting.drain(..count).collect();
        let copies = || taken.iter().filter_map(|delivery| self.task.copy(&delivery.message)).collect::<Vec<Message>>();
        let mut copied = copies();
        while !copied.is_empty() {
            match self.writes.publish_all(copied).await {
                // Where the filter policy does not want it, it goes nowhere.
                Published::Confirmed | Published::Unroutable => break,
                Published::Rejected(_) if !self.is_wanted() => return Ok(false),
                Published::Rejected(reason) => {
                    tracing::debug!(topic = %self.task.topic(), reason = ?reason, "a replay waits");
                    sleep(REST).await;
                    copied = copies();
                }
            }
        }
        self.position = taken.last().and_then(|last| last.stream_offset).map(|offset| offset + 1).or(self.position);
        let deliveries = taken.iter().map(|delivery| delivery.id).collect();
        self.reads.push(|_| Command::Settle { deliveries, outcome: Outcome::Accepted, request: None });
        if self.kept_at.elapsed() > KEEP_EVERY {
            self.keep_position().await?;
        }
        Ok(mark_at.is_some())
    }

    /// A replay that somebody has changed meanwhile is not changed back.
    async fn set_status(&mut self, status: ReplayStatus) -> Result<(), String> {
        loop {
            let bindings = self.depot.engine.broker.bindings_from(&self.vhost, self.task.topic());
            let mut tasks = bindings.iter().filter_map(|binding| Some((ReplayTask::of(binding)?, binding)));
            let Some((known, kept)) = tasks.find(|(task, _)| task.id() == self.task.id()) else { return Ok(()) };
            let binding = known.with_status(status);
            if let Some(task) = ReplayTask::of(&binding) {
                self.task = task;
            }
            let kept = Kept::Binding { binding: (**kept).clone(), attributes: Some(kept.attributes.clone()) };
            let change = Some(Box::new(Definition::Bind(binding)));
            match self.writes.define(Definition::IfKept { kept, change }).await {
                Err(Refusal::Changed) => {}
                result => return result.map(drop).map_err(|refusal| refusal.to_string()),
            }
        }
    }

    async fn kept_position(&mut self) -> Option<u64> {
        let prefix = self.task.document();
        let question = Definition::ListDocuments { prefix, after: None, count_max: 1 };
        let Ok(Reply::Documents(found)) = self.writes.define(question).await else { return None };
        let text = String::from_utf8(found.first()?.1.to_vec()).ok()?;
        let (id, position) = text.split_once(' ')?;
        position.parse().ok().filter(|_| id == self.task.id())
    }

    async fn keep_position(&mut self) -> Result<(), String> {
        self.kept_at = Instant::now();
        let Some(position) = self.position else { return Ok(()) };
        let text = format!("{} {position}", self.task.id());
        self.set_document(Some(Bytes::from(text))).await
    }

    async fn set_document(&mut self, document: Option<Bytes>) -> Result<(), String> {
        let change = Definition::SetDocument { name: self.task.document(), document };
        self.writes.define(change).await.map(drop).map_err(|refusal| refusal.to_string())
    }
}
