//! One HTTP request from its first command to its response.

use core::net::IpAddr;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crossdock_common::{Command, Event, Name, Now, Warrant};

use crate::arn::{Place, escape};
use crate::convert::attributes::{Attribute, TRACE_HEADER};
use crate::desk::Desk;
use crate::directory::Directory;
use crate::error::Failure;
use crate::http::{Request, Response};
use crate::memory::Memory;
use crate::namespaces::Namespace;
use crate::office::PostOffice;
use crate::receipt::Receipts;
use crate::wire::{Decoded, Fields, Service, Shape};
use crate::{access, sns, sqs, sts, wire};

/// Most times that one request is carried out anew, since another one was quicker.
const ATTEMPTS_MAX: usize = 1_000;

/// What all calls of a namespace share.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Whose resources these are.
    pub namespace: Namespace,
    /// Largest message, attributes included.
    pub message_bytes_max: usize,
    /// Signs receipt handles. Kept over restarts, else handles end with the process.
    pub receipt_key: Vec<u8>,
    /// Which of AWS's rules do not hold.
    pub quirks: Quirks,
    /// What calls remember for later ones.
    pub memory: Arc<Memory>,
    /// Sends messages outwards; without it nothing is sent.
    pub office: Option<Arc<dyn PostOffice>>,
    /// Knows the other accounts; without it there are none, and policies give nothing.
    pub directory: Option<Arc<dyn Directory>>,
}

impl Environment {
    pub(crate) fn subscriptions_changed(&self) {
        if let Some(office) = &self.office {
            office.subscriptions_changed();
        }
    }
}

/// Rules of AWS that are in the way of local development.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// A queue may be made again at once after it was deleted.
    pub recreate_at_once: bool,
    /// A queue may be purged again at once.
    pub purge_at_once: bool,
}

/// On whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The broker's user.
    pub user: Name,
    /// The account of the access key, if it says one.
    pub account: Option<String>,
    /// The region that the caller signed for.
    pub region: Option<String>,
    /// Where it calls from.
    pub peer: Option<IpAddr>,
    /// It signed the request; the signature was checked, if signatures are.
    pub is_signed: bool,
}

/// A request that is being carried out.
///
/// # Calling order
/// Take [`commands`](Self::commands) and give them to the core; give [`handle`](Self::handle) every event; after each of
/// them look for a [`response`](Self::response). A call that is dropped leaves nothing behind in this crate.
pub struct Call {
    desk: Desk,
    action: Pin<Box<dyn Future<Output = Response> + Send>>,
    response: Option<Response>,
}

/// What an action needs beside its parameters.
pub(crate) struct Job {
    pub desk: Desk,
    /// Whose resources the request is about.
    pub environment: Arc<Environment>,
    /// The caller's own, where those are another account's.
    pub home: Option<Arc<Environment>>,
    pub place: Place,
    pub user: Name,
    pub peer: Option<IpAddr>,
    /// `SendMessage` and its like.
    pub action: String,
    /// `http://host:port` as the client calls this broker.
    pub origin: String,
    /// What X-Ray calls the request.
    pub trace: Option<String>,
    /// Somebody signed for it; the signature was checked, if signatures are.
    pub is_signed: bool,
    pub fields: Fields,
}

impl Call {
    /// Reads the request; the first commands are ready. `seed` makes message ids unlike those of other calls.
    pub fn new(environment: Arc<Environment>, request: &Request, caller: Caller, now: Now, seed: u64) -> Self {
        let desk = Desk::new(now, seed);
        let mut call =
            Self { desk: desk.clone(), action: Box::pin(run(environment, desk, request, caller)), response: None };
        call.poll();
        call
    }

    /// Moves the commands that the core shall carry out. It has to be given the warrants first: what they are for, the owner of the
    /// queue or topic allows this request.
    #[must_use]
    pub fn commands(&mut self, into: &mut VecDeque<Command>) -> Vec<Warrant> {
        self.desk.take_commands(into)
    }

    /// Takes one event of the core.
    pub fn handle(&mut self, now: Now, event: Event) {
        self.desk.put_event(now, event);
        self.poll();
    }

    /// The broker drains: what only waits for messages ends with none.
    pub fn leave(&mut self) {
        self.desk.leave();
        self.poll();
    }

    /// The response, once there is one.
    pub fn response(&mut self) -> Option<Response> {
        self.response.take()
    }

    fn poll(&mut self) {
        if self.response.is_some() {
            return;
        }
        if let Poll::Ready(response) = self.action.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            self.response = Some(response);
            // A finished future is not polled again.
            self.action = Box::pin(std::future::pending());
        }
    }
}

/// The response to a request that is refused before it becomes a call.
pub fn refuse(request: &Request, failure: &Failure, seed: u64) -> Response {
    let id = crate::digest::uuid_text(crossdock_common::random::Random::from_seed(seed).uuid());
    wire::encode_failure(wire::guess(request), failure, id)
}

fn run(
    environment: Arc<Environment>,
    desk: Desk,
    request: &Request,
    caller: Caller,
) -> impl Future<Output = Response> + Send + use<> {
    let decoded = wire::decode(request).map_err(|failure| (wire::guess(request), failure));
    let origin = request.head.origin();
    let trace = request.head.trace().map(str::to_owned);
    async move {
        let id = crate::digest::uuid_text(desk.uuid());
        let Decoded { service, protocol, action, fields } = match decoded {
            Ok(decoded) => decoded,
            Err((guessed, failure)) => return wire::encode_failure(guessed, &failure, id),
        };
        let Caller { user, peer, region, is_signed, .. } = caller;
        let region = region.as_deref();
        let owner = access::owner_of(service, &action, fields.view());
        let (environment, home) = owned_by(owner, region, environment);
        let place = Place::of(&environment.namespace, region);
        let job = Job { desk, environment, home, place, user, peer, action, origin, trace, is_signed, fields };
        match perform(service, &job).await {
            Ok(shape) => wire::encode(service, protocol, &job.action, &shape, id),
            Err(failure) => {
                let failure = access::reworded(&job, service, failure);
                wire::encode_failure((service, protocol), &failure, id)
            }
        }
    }
}

/// The resources of the account that is named, if they are not the caller's own; then his, too.
fn owned_by(
    owner: Option<&str>,
    region: Option<&str>,
    own: Arc<Environment>,
) -> (Arc<Environment>, Option<Arc<Environment>>) {
    let other = owner.filter(|owner| *owner != own.namespace.account);
    let found = other.and_then(|owner| own.directory.as_ref()?.find(owner, region));
    match found {
        Some(found) => (found, Some(own)),
        // What nobody has used has nothing: it is not found.
        None => (own, None),
    }
}

/// Requests that change the same at the same time do so one after the other: none undoes what another one was told is done.
async fn perform(service: Service, job: &Job) -> Result<Shape, Failure> {
    match access::enter(job, service).await {
        // Ending what is not there is fine.
        Err(Failure::SnsNotFound(_)) if job.action == "Unsubscribe" => return Ok(Shape::Nothing),
        entered => entered?,
    }
    for _ in 0..ATTEMPTS_MAX {
        match attempt(service, job).await {
            Err(Failure::Changed) => {}
            result => return result,
        }
    }
    Err(Failure::Changed)
}

async fn attempt(service: Service, job: &Job) -> Result<Shape, Failure> {
    let action = job.action.as_str();
    match service {
        Service::Sqs => sqs::perform(action, job).await,
        Service::Sns => Box::pin(sns::perform(action, job)).await,
        Service::Sts => sts::perform(action, job),
    }
}

impl Job {
    /// The request is about another account's queue or topic.
    pub(crate) fn is_foreign(&self) -> bool {
        self.home.is_some()
    }

    /// The caller's own resources.
    pub(crate) fn home(&self) -> &Environment {
        self.home.as_ref().unwrap_or(&self.environment)
    }

    /// The caller's account.
    pub(crate) fn account(&self) -> &str {
        &self.home().namespace.account
    }

    /// A user of the broker is a user of the account.
    pub(crate) fn user_arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account(), self.user)
    }

    pub(crate) fn receipts(&self) -> Receipts<'_> {
        Receipts(&self.environment.receipt_key)
    }

    /// Publishers are stopped: an honest refusal before anything is done.
    pub(crate) fn may_publish(&self) -> Result<(), Failure> {
        if self.desk.is_blocked() {
            return Err(Failure::Unavailable(
                "Memory or disk is short; publishers are stopped for a while.".to_owned(),
            ));
        }
        Ok(())
    }

    /// The trace of the request, for messages that do not say theirs.
    pub(crate) fn trace_attribute(&self) -> Option<Attribute> {
        self.trace.as_deref().map(|trace| Attribute::text(TRACE_HEADER, "String", trace))
    }

    pub(crate) fn queue_url(&self, queue: &str) -> String {
        format!("{}/{}/{}", self.origin, self.place.account, escape(queue))
    }
}

/// What a message counts for in limits: its body and its attributes' names, types and values.
pub(crate) fn cost_bytes(body: &str, attributes: &[Attribute]) -> usize {
    body.len() + attributes.iter().map(Attribute::cost_bytes).sum::<usize>()
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("response", &self.response).finish_non_exhaustive()
    }
}
