//! Where an action and the core meet: the action leaves commands and waits for answers, the caller carries them.
//!
//! Actions are straight-line `async` functions without a runtime: [`Call`](crate::Call) polls them when an event came, so
//! nothing here waits for anything but an event.

mod vacancy;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crossdock_common::command::{Fetch, Outcome, Publish};
use crossdock_common::definition::{Definition, Kept, QueueInfo};
use crossdock_common::event::{Delivery, Late, Reply};
use crossdock_common::names::DeliveryId;
use crossdock_common::random::Random;
use crossdock_common::refusal::Resource;
use crossdock_common::{Command, Event, Lane, Message, Name, Now, Refusal, RequestId, Warrant};
use smallvec::SmallVec;

use vacancy::Answer;
pub(crate) use vacancy::Vacancy;

/// The shared half of a call. Clones are the same desk.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Mutex<Mail>>);

struct Mail {
    now: Now,
    random: Random,
    next_number: u64,
    warrants: Vec<Warrant>,
    /// The virtual host is not there.
    vacancy: Option<Arc<Vacancy>>,
    commands: VecDeque<Command>,
    replies: Answers<RequestId, Result<Reply, Refusal>>,
    fetched: Answers<RequestId, Vec<Delivery>>,
    published: Answers<u64, Published>,
    placed: Answers<u64, Placed>,
    unroutable: Vec<u64>,
    blocked: bool,
    leaving: bool,
}

/// What came, by what asked for it. A call asks for no more than a batch has entries, mostly for one thing after the other, and takes
/// each answer.
struct Answers<K, V>(SmallVec<[(K, V); 1]>);

impl<K: Copy + PartialEq, V> Answers<K, V> {
    fn insert(&mut self, key: K, answer: V) {
        self.0.push((key, answer));
    }

    fn contains(&self, key: K) -> bool {
        self.0.iter().any(|(asked, _)| *asked == key)
    }

    fn take(&mut self, key: K) -> Option<V> {
        let at = self.0.iter().position(|(asked, _)| *asked == key)?;
        Some(self.0.swap_remove(at).1)
    }
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

/// What became of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// Safe in every queue that took it.
    Confirmed,
    /// No queue took it.
    Unroutable,
    /// A full queue, or a journal that does not take it.
    Rejected,
    /// Not published at all.
    Refused(Refusal),
}

/// The place of a message in a FIFO queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub position: u64,
    /// The MessageId of the message that came first, if this one was known already.
    pub original: Option<u128>,
}

impl Desk {
    pub(crate) fn new(now: Now, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Mail {
            now,
            random: Random::from_seed(seed),
            next_number: 1,
            warrants: Vec::new(),
            vacancy: None,
            commands: VecDeque::new(),
            replies: Answers::default(),
            fetched: Answers::default(),
            published: Answers::default(),
            placed: Answers::default(),
            unroutable: Vec::new(),
            blocked: false,
            leaving: false,
        })))
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The caller's side.

    pub(crate) fn take_commands(&self, into: &mut VecDeque<Command>) -> Vec<Warrant> {
        let mut mail = self.mail();
        if into.is_empty() {
            std::mem::swap(into, &mut mail.commands);
        } else {
            into.append(&mut mail.commands);
        }
        std::mem::take(&mut mail.warrants)
    }

    pub(crate) fn put_event(&self, now: Now, event: Event) {
        let mut mail = self.mail();
        mail.now = now;
        match event {
            Event::Reply { request, result } => mail.replies.insert(request, result),
            Event::Fetched { request, deliveries, .. } => mail.fetched.insert(request, deliveries),
            Event::Unroutable { confirm: Some(confirm), .. } => mail.unroutable.push(confirm),
            Event::Confirmed { confirms, .. } => confirms.into_iter().for_each(|confirm| mail.confirm(confirm)),
            Event::Placed { confirm, position, original, .. } => {
                mail.placed.insert(confirm, Placed { position, original });
            }
            Event::Rejected { confirm, .. } => mail.published.insert(confirm, Published::Rejected),
            Event::PublishRefused { confirm: Some(confirm), refusal, .. } => {
                mail.published.insert(confirm, Published::Refused(refusal));
            }
            Event::Blocked { .. } => mail.blocked = true,
            Event::Unblocked => mail.blocked = false,
            _ => {}
        }
    }

    pub(crate) fn leave(&self) {
        self.mail().leaving = true;
    }

    // The action's side.

    pub(crate) fn now(&self) -> Now {
        self.mail().now
    }

    pub(crate) fn uuid(&self) -> u128 {
        self.mail().random.uuid()
    }

    /// The core shall let the commands through that come now, as far as the warrant says.
    pub(crate) fn allow(&self, warrant: Warrant) {
        self.mail().warrants.push(warrant);
    }

    /// Publishers must stop.
    pub(crate) fn is_blocked(&self) -> bool {
        self.mail().blocked
    }

    pub(crate) async fn open(&self, vhost: Name) -> Result<(), Refusal> {
        self.reply(self.ask(|request| Command::Open { request, vhost })).await.map(drop)
    }

    /// There is no virtual host to ask: until something is made, answers are those of an empty one.
    pub(crate) fn vacate(&self, vacancy: Vacancy) {
        self.mail().vacancy = Some(Arc::new(vacancy));
    }

    pub(crate) async fn define(&self, definition: Definition) -> Result<Reply, Refusal> {
        let vacancy = self.mail().vacancy.clone();
        if let Some(vacancy) = vacancy {
            match vacancy.answer(&definition) {
                Answer::Empty(answer) => return answer,
                Answer::Makes(resource, name) => Box::pin(self.settle_in(&vacancy, resource, name)).await?,
            }
        }
        self.reply(self.ask(|request| Command::Define { request, definition: Box::new(definition) })).await
    }

    async fn settle_in(&self, vacancy: &Vacancy, resource: Resource, name: Name) -> Result<(), Refusal> {
        vacancy.settle(resource, name)?;
        self.open(vacancy.vhost().clone()).await?;
        self.mail().vacancy = None;
        Ok(())
    }

    /// Changes what is still kept as it was read; without a change waits until what was read is durable.
    pub(crate) async fn define_if(&self, kept: Kept, change: Option<Definition>) -> Result<Reply, Refusal> {
        self.define(Definition::IfKept { kept, change: change.map(Box::new) }).await
    }

    pub(crate) async fn purge(&self, queue: Name) -> Result<Reply, Refusal> {
        self.reply(self.ask(|request| Command::Purge { request, queue, everything: true })).await
    }

    pub(crate) async fn inspect_queue(&self, name: &str) -> Result<Box<QueueInfo>, Refusal> {
        match self.define(Definition::InspectQueue { name: Name::from(name) }).await? {
            Reply::QueueInfo(info) => Ok(info),
            _ => Err(unexpected()),
        }
    }

    /// Asks for a settlement; the answer comes from [`reply`](Self::reply).
    pub(crate) fn settle(&self, delivery: DeliveryId, outcome: Outcome) -> RequestId {
        self.ask(|request| Command::Settle { deliveries: vec![delivery], outcome, request: Some(request) })
    }

    /// Asks for another lease; the answer comes from [`reply`](Self::reply).
    pub(crate) fn extend_lease(&self, delivery: DeliveryId, lease_ms: u64) -> RequestId {
        self.ask(|request| Command::ExtendLease { request, delivery, lease_ms })
    }

    /// What has become of a delivery whose lease is over; `None` if its message is taken away now, which it is only if nobody has it, and
    /// if `removes` says so.
    pub(crate) async fn settle_late(&self, delivery: DeliveryId, removes: bool) -> Result<Option<Late>, Refusal> {
        match self.reply(self.ask(|request| Command::SettleLate { request, delivery, removes })).await? {
            Reply::Done => Ok(None),
            Reply::Late(late) => Ok(Some(late)),
            _ => Err(unexpected()),
        }
    }

    /// Messages; none if there were none in time, or if the broker drains.
    pub(crate) async fn fetch(&self, fetch: Fetch) -> Result<Vec<Delivery>, Refusal> {
        let request = self.ask(|request| Command::Fetch { request, fetch: Box::new(fetch) });
        poll_fn(|_| {
            let mut mail = self.mail();
            if let Some(deliveries) = mail.fetched.take(request) {
                return Poll::Ready(Ok(deliveries));
            }
            match mail.replies.take(request) {
                Some(Err(refusal)) => Poll::Ready(Err(refusal)),
                Some(Ok(_)) => Poll::Ready(Err(unexpected())),
                None if mail.leaving => Poll::Ready(Ok(Vec::new())),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Publishes; the outcome comes from [`published`](Self::published).
    pub(crate) fn publish(&self, message: Message) -> u64 {
        let mut mail = self.mail();
        let confirm = mail.number();
        if mail.vacancy.is_some() {
            mail.published.insert(confirm, Published::Unroutable);
            return confirm;
        }
        mail.commands.push_back(Command::Publish(Publish {
            lane: Lane(0),
            confirm: Some(confirm),
            message: Arc::new(message),
            mandatory: false,
            retain: false,
            exactly_once: None,
        }));
        confirm
    }

    /// Where a FIFO queue has put a message; known when it is confirmed.
    pub(crate) fn placed(&self, confirm: u64) -> Option<Placed> {
        self.mail().placed.take(confirm)
    }

    /// The same as soon as the queue has put it there; `None` if it was not put anywhere.
    pub(crate) async fn place(&self, confirm: u64) -> Option<Placed> {
        poll_fn(|_| {
            let mut mail = self.mail();
            match mail.placed.take(confirm) {
                None if !mail.published.contains(confirm) => Poll::Pending,
                placed => Poll::Ready(placed),
            }
        })
        .await
    }

    pub(crate) async fn published(&self, confirm: u64) -> Published {
        poll_fn(|_| self.mail().published.take(confirm).map_or(Poll::Pending, Poll::Ready)).await
    }

    pub(crate) async fn reply(&self, request: RequestId) -> Result<Reply, Refusal> {
        poll_fn(|_| self.mail().replies.take(request).map_or(Poll::Pending, Poll::Ready)).await
    }

    fn ask(&self, command: impl FnOnce(RequestId) -> Command) -> RequestId {
        let mut mail = self.mail();
        let request = RequestId(mail.number());
        mail.commands.push_back(command(request));
        request
    }
}

impl Mail {
    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn confirm(&mut self, confirm: u64) {
        let taken = !self.unroutable.contains(&confirm);
        self.published.insert(confirm, if taken { Published::Confirmed } else { Published::Unroutable });
    }
}

/// The core answered something that is no answer to the question.
fn unexpected() -> Refusal {
    Refusal::Unavailable("unexpected answer".to_owned())
}
