//! To queues of other accounts and regions, which are in other virtual hosts of this broker.

use std::sync::Arc;

use crossdock_aws::outward::{Addressee, FarQueue};
use crossdock_common::event::Delivery;
use crossdock_common::{Message, Name};

use super::depot::Depot;
use super::link::{Actor, Link, Published};
use super::web::Outcome;

const GONE: &str = "the queue does not exist";

/// The message is safe in its queue when this says that it was accepted.
pub(super) async fn hand_over(
    depot: &Arc<Depot>,
    addressee: &Addressee,
    queue: &FarQueue,
    delivery: &Arc<Delivery>,
) -> Outcome {
    let namespace = depot.namespaces.of(Some(&queue.account), Some(&queue.region));
    let Some(vhost) = namespace.map(|namespace| namespace.vhost) else { return Outcome::Refused(GONE.to_owned()) };
    let now = depot.engine.clock.now();
    let Some(view) = depot.engine.broker.queue_view(now, &vhost, &queue.name) else {
        return Outcome::Refused(GONE.to_owned());
    };
    if let Err(reason) = queue.admits(&view.spec, now.unix) {
        return Outcome::Refused(reason.to_owned());
    }
    // What a user may do in an account holds in all its regions; for another account, its queue's policy has spoken.
    let is_users = queue.is_of_same_account();
    let actor = if is_users { Actor::User(addressee.subscriber.clone()) } else { Actor::Broker };
    let message = match letter(depot, addressee, delivery, &queue.name).await {
        Ok(message) => message,
        Err(reason) => return Outcome::Refused(reason),
    };
    match Link::open(&depot.engine, vhost, actor).publish(message).await {
        Published::Confirmed => Outcome::Accepted,
        Published::Unroutable => Outcome::Refused(GONE.to_owned()),
        Published::Rejected(reason) => Outcome::Failed(reason),
    }
}

/// The message as it arrives in a queue.
///
/// # Errors
/// It cannot be made.
pub(super) async fn letter(
    depot: &Arc<Depot>,
    addressee: &Addressee,
    delivery: &Arc<Delivery>,
    queue: &Name,
) -> Result<Message, String> {
    let (addressee, delivery) = (addressee.clone(), delivery.clone());
    let (office, queue) = (depot.office.clone(), queue.clone());
    // Signing takes milliseconds.
    let made = tokio::task::spawn_blocking(move || addressee.letter(&delivery, &*office, &queue)).await;
    made.map_err(|error| format!("a defect: {error}"))
}
