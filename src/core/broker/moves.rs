//! Tasks that move messages from queue to queue: which there are, and what became of the last ones.
//!
//! Each is a document among the definitions, written when it begins, is told to end, and ends. A start goes on with those that had not
//! ended; how many messages those had moved before is not known then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use crossdock_common::event::Reply;
use crossdock_common::moves::{MoveFailure, MoveInfo, MoveSpec, MoveStatus};
use crossdock_common::names::QueueId;
use crossdock_common::{Name, Now, Refusal, UnixMillis};

use super::Broker;
use super::administer::DocumentChange;
use super::define::{Caller, accessible};
use crate::definitions::{Definitions, shard_of};
use crate::log::Urgency;
use crate::record::{TableReader, TableWriter, decode_table, encode_table};
use crate::settings::is_stream;
use crate::shard::Shard;
use crate::shard::move_task::{Ended, MoveTask, Progress};

/// What the documents are kept under.
const KIND: &str = "move";
/// Ended tasks of a queue that are remembered.
const ENDED_MAX: usize = 10;

/// All tasks, by number.
#[derive(Default)]
pub(crate) struct Moves {
    tasks: BTreeMap<u64, Task>,
}

struct Task {
    vhost: Name,
    queue: QueueId,
    spec: MoveSpec,
    status: MoveStatus,
    started_at: UnixMillis,
    progress: Arc<Progress>,
}

impl Broker {
    pub(super) fn start_move(
        &self,
        now: Now,
        definitions: &mut Definitions,
        caller: &Caller<'_>,
        spec: MoveSpec,
    ) -> Result<Reply, Refusal> {
        let vhost = &caller.who.vhost;
        let source = accessible(definitions, caller, &spec.source)?;
        let queue = source.id;
        if is_stream(&source.spec, vhost) {
            let text = format!("queue '{}' in vhost '{vhost}' is a stream: nothing leaves it", spec.source);
            return Err(Refusal::PreconditionFailed(text));
        }
        if let Some(destination) = &spec.destination {
            accessible(definitions, caller, destination)?;
        }
        let mut moves = self.moves.lock();
        if moves.of(queue).any(|(_, task)| task.status.is_active()) {
            let text = format!("messages of queue '{}' in vhost '{vhost}' are being moved", spec.source);
            return Err(Refusal::PreconditionFailed(text));
        }
        let mut changes = moves.forget_gone(definitions);
        let number = moves.next_number(now);
        let task = Task {
            vhost: vhost.clone(),
            queue,
            spec,
            status: MoveStatus::Running,
            started_at: now.unix,
            progress: Arc::default(),
        };
        changes.push(task.document(number));
        let moving = task.for_shard(number, now);
        moves.tasks.insert(number, task);
        changes.extend(moves.forget_old(queue));
        drop(moves);
        definitions.change_documents(changes);
        self.with_shard(shard_of(queue), |shard| shard.start_move(now, queue, moving));
        Ok(Reply::Moves(self.moves.lock().info(number).into_iter().collect()))
    }

    pub(super) fn list_moves(
        &self,
        definitions: &Definitions,
        caller: &Caller<'_>,
        source: &Name,
    ) -> Result<Reply, Refusal> {
        let queue = accessible(definitions, caller, source)?.id;
        let moves = self.moves.lock();
        Ok(Reply::Moves(moves.of(queue).rev().map(|(number, task)| task.info(*number)).collect()))
    }

    pub(super) fn cancel_move(
        &self,
        now: Now,
        definitions: &mut Definitions,
        caller: &Caller<'_>,
        source: &Name,
        number: u64,
    ) -> Result<Reply, Refusal> {
        let queue = accessible(definitions, caller, source)?.id;
        let mut moves = self.moves.lock();
        let task = moves.tasks.get_mut(&number);
        let Some(task) = task.filter(|task| task.queue == queue && task.status == MoveStatus::Running) else {
            return Err(Refusal::PreconditionFailed(format!("no such task moves messages of queue '{source}'")));
        };
        task.status = MoveStatus::Cancelling;
        let change = task.document(number);
        drop(moves);
        definitions.change_documents(vec![change]);
        let moved = self.with_shard(shard_of(queue), |shard| shard.cancel_move(now, queue, number)).flatten();
        Ok(Reply::Count(moved.unwrap_or(0)))
    }

    /// A shard says that a task is over.
    pub(super) fn move_ended(&self, number: u64, ended: Ended) {
        let mut definitions = self.definitions.write();
        let mut moves = self.moves.lock();
        let Some(task) = moves.tasks.get_mut(&number) else { return };
        task.status = match ended {
            Ended::With(status) => status,
            Ended::Undelivered(queue) => {
                let vhost = definitions.vhosts.get(&task.vhost);
                let exists = vhost.is_some_and(|vhost| vhost.queues.contains_key(&queue));
                let failure = if exists { MoveFailure::Refused } else { MoveFailure::NoDestination };
                MoveStatus::Failed(failure)
            }
        };
        let change = task.document(number);
        drop(moves);
        definitions.change_documents(vec![change]);
        definitions.log.commit(Urgency::Sync);
    }
}

impl Moves {
    /// What the documents say. Of tasks that had not ended, those that were told to end have done so by now.
    pub(crate) fn read(definitions: &Definitions) -> Self {
        let read = |(key, document): (Name, Bytes)| Some((key.parse().ok()?, Task::from_document(document)?));
        let tasks = definitions.documents(KIND).into_iter().filter_map(read);
        Self { tasks: tasks.collect() }
    }

    /// Tasks go on; `arrived` are the places of messages that came to other queues.
    pub(crate) fn resume(&self, now: Now, shards: &mut [Shard], arrived: &[(QueueId, u64)]) {
        for (number, task) in self.tasks.iter().filter(|(_, task)| task.status == MoveStatus::Running) {
            let places = arrived.iter().filter(|(queue, _)| *queue == task.queue).map(|(_, place)| *place);
            let moving = task.for_shard(*number, now).have_arrived(places);
            if let Some(shard) = shards.get_mut(shard_of(task.queue)) {
                shard.start_move(now, task.queue, moving);
            }
        }
    }

    fn of(&self, queue: QueueId) -> impl DoubleEndedIterator<Item = (&u64, &Task)> {
        self.tasks.iter().filter(move |(_, task)| task.queue == queue)
    }

    fn info(&self, number: u64) -> Option<MoveInfo> {
        self.tasks.get(&number).map(|task| task.info(number))
    }

    /// Numbers grow, also over restarts and where the last task was forgotten.
    fn next_number(&self, now: Now) -> u64 {
        let last = self.tasks.last_key_value().map_or(0, |(number, _)| *number);
        now.unix.0.max(last + 1)
    }

    /// Tasks of queues that do not exist any more.
    fn forget_gone(&mut self, definitions: &Definitions) -> Vec<DocumentChange> {
        let is_gone = |(_, task): &(&u64, &Task)| definitions.queue_name(task.queue).is_none();
        let gone: Vec<u64> = self.tasks.iter().filter(is_gone).map(|(number, _)| *number).collect();
        self.forget(gone)
    }

    fn forget_old(&mut self, queue: QueueId) -> Vec<DocumentChange> {
        let ended = self.of(queue).rev().filter(|(_, task)| !task.status.is_active());
        let old: Vec<u64> = ended.skip(ENDED_MAX - 1).map(|(number, _)| *number).collect();
        self.forget(old)
    }

    fn forget(&mut self, numbers: Vec<u64>) -> Vec<DocumentChange> {
        let forgotten = |number: u64| {
            self.tasks.remove(&number);
            DocumentChange { kind: KIND, key: key_of(number), document: None }
        };
        numbers.into_iter().map(forgotten).collect()
    }
}

fn key_of(number: u64) -> Name {
    Name::from(number.to_string().as_str())
}

impl Task {
    fn for_shard(&self, number: u64, now: Now) -> MoveTask {
        let MoveSpec { destination, per_second, .. } = self.spec.clone();
        MoveTask::new(number, destination, per_second, self.progress.clone(), now.instant)
    }

    fn info(&self, number: u64) -> MoveInfo {
        MoveInfo {
            number,
            spec: self.spec.clone(),
            status: self.status,
            moved: self.progress.moved.load(Ordering::Relaxed),
            to_move: self.progress.to_move.load(Ordering::Relaxed),
            started_at: self.started_at,
        }
    }

    fn document(&self, number: u64) -> DocumentChange {
        let mut writer = TableWriter::new()
            .text("vhost", &self.vhost)
            .number("queue", self.queue.0)
            .text("source", &self.spec.source)
            .text("status", self.status.word())
            .number("per_second", self.spec.per_second.map(u64::from))
            .number("started_at", self.started_at.0)
            .number("moved", self.progress.moved.load(Ordering::Relaxed))
            .number("to_move", self.progress.to_move.load(Ordering::Relaxed));
        if let Some(destination) = &self.spec.destination {
            writer = writer.text("destination", destination);
        }
        let mut document = BytesMut::new();
        encode_table(&writer.finish(), &mut document);
        DocumentChange { kind: KIND, key: key_of(number), document: Some(document.freeze()) }
    }

    fn from_document(document: Bytes) -> Option<Self> {
        let table = decode_table(&mut document.clone()).ok()?;
        let reader = TableReader(&table);
        let progress = Progress::default();
        progress.moved.store(reader.number("moved").unwrap_or(0), Ordering::Relaxed);
        progress.to_move.store(reader.number("to_move").unwrap_or(0), Ordering::Relaxed);
        let spec = MoveSpec {
            source: reader.name("source"),
            destination: reader.optional_name("destination"),
            per_second: reader.number("per_second").and_then(|number| u32::try_from(number).ok()),
        };
        let status = match MoveStatus::from_word(&reader.name("status"))? {
            MoveStatus::Cancelling => MoveStatus::Cancelled,
            status => status,
        };
        Some(Self {
            vhost: reader.name("vhost"),
            queue: QueueId(reader.number("queue")?),
            spec,
            status,
            started_at: UnixMillis(reader.number("started_at")?),
            progress: Arc::new(progress),
        })
    }
}
