//! Carries the messages of one hidden queue to where they go.
//!
//! A message that cannot be delivered goes back to its queue with a delay, so the queue holds what waits and the courier only what is on
//! its way: as many as the window says, which is 1 after a failure, shrinks while the endpoint is slow, and grows again with every success.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossdock_aws::outward::{Addressee, DIRECT_QUEUE, DeadLetters, Parcel};
use crossdock_common::command::Outcome as Settlement;
use crossdock_common::event::Delivery;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, Event, Name, Table};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::depot::{Depot, Hidden};
use super::link::{Actor, CONSUMER, Link, Published};
use super::queues::{hand_over, letter};
use super::web::Outcome;
use crate::telemetry::events::SnsGivenUp;

/// Messages of one subscription that are on their way at the same time.
const WINDOW_MAX: u32 = 16;
/// An endpoint that takes longer gets fewer at the same time: the others have to share what is left (`aws.deliveries.concurrent_max`).
const SLOW: Duration = Duration::from_secs(2);
/// Until a full dead-letter queue is tried again, in milliseconds.
const LETTER_DELAY_MS: u64 = 20_000;

/// What is to be done with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done { is_slow: bool },
    Again { delay_ms: u64 },
}

pub(super) struct Courier {
    depot: Arc<Depot>,
    queue: Hidden,
    link: Link,
    waiting: VecDeque<Delivery>,
    sends: JoinSet<(DeliveryId, Verdict)>,
    window: u32,
    /// No message goes out before that.
    not_before: Instant,
}

impl Courier {
    /// Carries messages until the queue is gone or the broker is stopped.
    ///
    /// # Errors
    /// The subscriber may not read the queue.
    pub(super) async fn run(depot: Arc<Depot>, queue: Hidden, actor: Actor) -> Result<(), String> {
        let mut link = Link::open(&depot.engine, queue.vhost.clone(), actor);
        link.consume(queue.name.clone(), WINDOW_MAX, Table::new());
        let courier = Self {
            depot,
            queue,
            link,
            waiting: VecDeque::new(),
            sends: JoinSet::new(),
            window: WINDOW_MAX,
            not_before: Instant::now(),
        };
        courier.carry().await
    }

    async fn carry(mut self) -> Result<(), String> {
        let mut heard = Vec::new();
        loop {
            self.link.round(&mut heard).map_err(|refusal| refusal.to_string())?;
            for event in heard.drain(..) {
                match event {
                    Event::Deliver(deliveries) => self.waiting.extend(deliveries),
                    Event::DeliverRun(run) => self.waiting.extend(run.deliveries()),
                    Event::Reply { result: Err(refusal), .. } => return Err(refusal.to_string()),
                    Event::ConsumerCancelled { .. } | Event::Forced { .. } => return Ok(()),
                    _ => {}
                }
            }
            if self.link.must_leave() {
                return Ok(());
            }
            self.send_what_may_go()?;
            tokio::select! {
                () = self.link.heard() => {}
                Some(sent) = self.sends.join_next() => self.settle(sent.ok()),
                () = sleep_until(self.not_before), if !self.waiting.is_empty() && self.not_before > Instant::now() => {}
            }
        }
    }

    /// # Errors
    /// The subscriber may not have them sent any more. What is on its way goes back to the queue.
    fn send_what_may_go(&mut self) -> Result<(), String> {
        while self.sends.len() < self.window as usize && self.not_before <= Instant::now() {
            let Some(delivery) = self.waiting.pop_front() else { break };
            let Some(addressee) = self.addressee(&delivery) else {
                // The subscription is gone, and its queue will be.
                self.settle(Some((delivery.id, Verdict::Done { is_slow: false })));
                continue;
            };
            self.depot.check_home(&addressee)?;
            if let Some(per_second) = addressee.per_second_max {
                self.not_before = Instant::now() + Duration::from_secs(1) / per_second;
            }
            let (depot, vhost) = (self.depot.clone(), self.queue.vhost.clone());
            self.sends.spawn(async move { (delivery.id, deliver(&depot, &vhost, &addressee, delivery).await) });
        }
        Ok(())
    }

    fn addressee(&self, delivery: &Delivery) -> Option<Addressee> {
        if self.queue.name.as_str() == DIRECT_QUEUE {
            return Addressee::of_direct(&delivery.message);
        }
        self.depot.addressee(&self.queue)
    }

    /// `None` if the task had a defect: its message stays where it is until the courier is another one.
    fn settle(&mut self, sent: Option<(DeliveryId, Verdict)>) {
        let Some((id, verdict)) = sent else { return };
        let (outcome, window) = match verdict {
            Verdict::Done { is_slow: false } => (Settlement::Accepted, (self.window * 2).min(WINDOW_MAX)),
            Verdict::Done { is_slow: true } => (Settlement::Accepted, (self.window / 2).max(1)),
            Verdict::Again { delay_ms } => (Settlement::Modified { delay_ms }, 1),
        };
        self.link.push(|_| Command::Settle { deliveries: vec![id], outcome, request: None });
        if window != self.window {
            self.window = window;
            self.link.push(|_| Command::Window { consumer: CONSUMER, window });
        }
    }
}

/// One attempt, and what follows from it.
async fn deliver(depot: &Arc<Depot>, vhost: &Name, addressee: &Addressee, delivery: Delivery) -> Verdict {
    let Ok(_permit) = depot.permits.acquire().await else { return Verdict::Again { delay_ms: 0 } };
    let (word, began) = (addressee.protocol.word(), Instant::now());
    let delivery = Arc::new(delivery);
    let reason = match attempt(depot, vhost, addressee, &delivery).await {
        Outcome::Accepted => {
            depot.engine.metrics.count_sns(word, "accepted");
            return Verdict::Done { is_slow: began.elapsed() > SLOW };
        }
        Outcome::Refused(reason) => reason,
        Outcome::Failed(reason) => match addressee.retries.delay_ms(delivery.delivery_count) {
            Some(delay_ms) => {
                tracing::debug!(to = ?addressee.name(), reason = ?reason, delay_ms, "a delivery failed");
                depot.engine.metrics.count_sns(word, "failed");
                return Verdict::Again { delay_ms };
            }
            None => reason,
        },
    };
    give_up(depot, addressee, &delivery, &reason).await
}

async fn attempt(depot: &Arc<Depot>, vhost: &Name, addressee: &Addressee, delivery: &Arc<Delivery>) -> Outcome {
    if let Some(queue) = addressee.far_queue() {
        return hand_over(depot, addressee, &queue, delivery).await;
    }
    let parcel = {
        let (addressee, delivery, office) = (addressee.clone(), delivery.clone(), depot.office.clone());
        // Signing takes milliseconds.
        tokio::task::spawn_blocking(move || addressee.parcel(&delivery, &*office)).await
    };
    match parcel {
        Ok(Parcel::Post(post)) => depot.web.post(post).await,
        Ok(Parcel::Record(record)) => depot.sinks.put(vhost, record, depot.engine.clock.now().unix).await,
        Err(error) => Outcome::Refused(format!("a defect: {error}")),
    }
}

/// To the dead-letter queue, if there is one.
async fn give_up(depot: &Arc<Depot>, addressee: &Addressee, delivery: &Arc<Delivery>, reason: &str) -> Verdict {
    let protocol = addressee.protocol.word();
    let to = addressee.dead_letters.as_ref().filter(|_| !Addressee::is_control(delivery));
    if let Some(letters) = to {
        match bury(depot, addressee, delivery, letters).await {
            Published::Confirmed => {
                SnsGivenUp { protocol, to: addressee.name(), reason, kept: true }.emit(&depot.engine.metrics);
                return Verdict::Done { is_slow: false };
            }
            Published::Rejected(refusal) => {
                tracing::warn!(queue = %letters.queue, reason = ?refusal, "a dead-letter queue takes nothing now");
                return Verdict::Again { delay_ms: LETTER_DELAY_MS };
            }
            Published::Unroutable => {}
        }
    }
    SnsGivenUp { protocol, to: addressee.name(), reason, kept: false }.emit(&depot.engine.metrics);
    Verdict::Done { is_slow: false }
}

/// As who has subscribed, in his account.
async fn bury(depot: &Arc<Depot>, addressee: &Addressee, delivery: &Arc<Delivery>, letters: &DeadLetters) -> Published {
    let namespace = depot.namespaces.of(Some(&letters.account), Some(&letters.region));
    let Some(vhost) = namespace.map(|namespace| namespace.vhost) else { return Published::Unroutable };
    match letter(depot, addressee, delivery, &letters.queue).await {
        Ok(letter) => {
            let actor = Actor::User(addressee.subscriber.clone());
            Link::open(&depot.engine, vhost, actor).publish(letter).await
        }
        Err(reason) => Published::Rejected(reason),
    }
}
