//! SNS subscriptions that deliver outwards. Each is a binding of its topic to a durable queue of its own, which nobody lists but the
//! management API; a [`courier`] consumes that queue on the subscriber's behalf, sends what it gets, and settles it when the endpoint
//! has it. What a message looks like, and when it is sent again, is in `protocols/aws` (`sns/outward.rs`, `sns/delivery_policy.rs`).

mod address;
mod astray;
mod courier;
mod depot;
mod doorway;
mod link;
mod mail;
mod office;
mod queues;
mod replayer;
mod signing;
mod sink;
mod web;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::broker::Engine;
use crate::config::Settings;
use depot::{Depot, Keeper};
use doorway::Doorway;
pub use mail::check_mail;
pub use office::Office;
use sink::Sinks;
use web::Web;

/// Delivers as long as the process lives.
pub fn deliver(engine: Arc<Engine>, office: Arc<Office>, settings: &Settings) {
    let (aws, timeout) = (&settings.aws, settings.aws.deliveries.timeout_ms.duration());
    let authorities = aws.deliveries.authorities.clone();
    let web = |rules| Web::new(Doorway::new(rules, authorities.clone()), timeout);
    let depot = Depot {
        web: web(Some(office.rules.clone())),
        sinks: Sinks::new(engine.clone(), aws, web(None)),
        permits: Semaphore::new(aws.deliveries.concurrent_max as usize),
        namespaces: aws.namespaces(settings.dev),
        engine,
        office,
    };
    tokio::spawn(Keeper::new(Arc::new(depot)).keep());
}
