//! The SQS and SNS APIs: HTTP requests to calls of `crossdock-aws`, calls to the core.

mod keys;
mod namespaces;
mod session;
mod turn;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::body::Body;
use bytes::Bytes;
use crossdock_aws::namespaces::place_of;
use crossdock_aws::sigv4::Claim;
use crossdock_aws::{Behalf, Call, Caller, Environment, Failure, Head, Quirks, Request, bearer, confirmer, refuse};
use crossdock_common::{Name, UnixMillis};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::body::{Missing, whole};
use crate::bridges::sns::Office;
use crate::broker::Engine;
use crate::config::Settings;
use crate::net::{Answer, Responder};
use crate::telemetry::Protocol;
use crate::telemetry::events::AuthenticationFailed;
pub use keys::GUEST;
use keys::Keys;
use namespaces::Namespaces;
use session::Session;

/// Bytes of one message's body in the longest usual spelling: `%C3` in a form, `\u00e9` in JSON.
const SPELLING_MAX: usize = 3;
/// Room for the parameters beside the messages.
const PARAMETERS_BYTES: usize = 256 << 10;
/// What somebody may send who has signed nothing: the ARN of a topic and a token.
const STRANGERS_BODY_BYTES_MAX: usize = 4 << 10;
/// More than requests of SDKs have: an idle connection keeps a table for so many.
const HEADERS_KEPT_MAX: usize = 24;
/// The document that keeps the key of receipt handles.
const DOCUMENT: &str = "aws";
const RECEIPT_KEY: &str = "receipt-key";
const RECEIPT_KEY_BYTES: usize = 32;

/// Everything on one port: `/` and every queue's path, for SQS, SNS and STS.
pub struct Aws {
    engine: Arc<Engine>,
    namespaces: Arc<Namespaces>,
    keys: Keys,
    body_bytes_max: usize,
    seeds: AtomicU64,
    office: Arc<Office>,
}

/// The key of receipt handles, made at the first start: handles outlive a restart.
fn receipt_key(engine: &Engine) -> Result<Vec<u8>> {
    let documents = engine.broker.documents(DOCUMENT);
    if let Some((_, key)) = documents.iter().find(|(name, _)| name.as_str() == RECEIPT_KEY) {
        return Ok(key.to_vec());
    }
    let mut key = vec![0; RECEIPT_KEY_BYTES];
    getrandom::fill(&mut key).context("the operating system gives no random numbers")?;
    engine.broker.set_document(DOCUMENT, &Name::from(RECEIPT_KEY), Some(key.clone().into()));
    Ok(key)
}

impl Responder for Aws {
    fn respond(self: Arc<Self>, request: hyper::Request<Incoming>, peer: SocketAddr) -> Answer {
        let (Parts { method, uri, headers, .. }, body) = request.into_parts();
        Box::pin(self.serve(Head { method, uri, headers }, body, peer))
    }
}

impl Aws {
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn new(engine: Arc<Engine>, office: Arc<Office>, settings: &Settings, seed: u64) -> Result<Self> {
        let message_bytes_max = settings.limits.aws_message_bytes_max.as_usize();
        let rules = settings.aws.namespaces(settings.dev);
        let home = Environment {
            namespace: rules.of(None, None).context("aws.account_id is no account")?,
            message_bytes_max,
            receipt_key: receipt_key(&engine)?,
            quirks: Quirks {
                recreate_at_once: settings.aws.quirks.recreate_at_once,
                purge_at_once: settings.aws.quirks.purge_at_once,
            },
            memory: Arc::default(),
            office: Some(office.clone()),
            directory: None,
        };
        Ok(Self {
            namespaces: Namespaces::new(engine.clone(), rules, home),
            engine,
            keys: Keys::new(settings),
            body_bytes_max: message_bytes_max * SPELLING_MAX + PARAMETERS_BYTES,
            seeds: AtomicU64::new(seed),
            office,
        })
    }

    /// No `async fn`: the future of one has its arguments in it twice, and what has more than a KiB is allocated slowly.
    fn serve(
        self: Arc<Self>,
        head: Head,
        body: Incoming,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let mut request = Request { head, body: Bytes::new() };
        async move {
            if let Some(pem) = certificate(&self.office, &request.head).await {
                let answer = Response::builder().header("content-type", "application/x-pem-file").body(pem);
                return Ok(answer.unwrap_or_default());
            }
            let caller = self.caller(&peer, &mut request, body, self.engine.clock.now().unix);
            let (environment, caller) = match caller.await.and_then(|caller| self.admit(&request, caller)) {
                Ok(admitted) => admitted,
                Err(failure) => return Ok(to_http(refuse(&request, &failure, seed), HeaderMap::new())),
            };
            let mut session = Session::new(self.engine.clone(), &caller.user);
            let mut call = Call::new(environment, &request, caller, self.engine.clock.now(), seed);
            let headers = emptied(request);
            Ok(to_http(session.run(&mut call).await, headers))
        }
    }

    /// Finds out about whose resources somebody asks.
    fn admit(&self, request: &Request, caller: Caller) -> Result<(Arc<Environment>, Caller), Failure> {
        Ok((self.environment(request, &caller)?, caller))
    }

    /// Reads the body of a request that may be good, and finds out who has sent it.
    async fn caller(
        &self,
        peer: &SocketAddr,
        request: &mut Request,
        body: Incoming,
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        let claim = match self.keys.expect(Claim::read(&request.head)) {
            Ok(claim) => claim,
            // Who has no key here is turned away before the body is read.
            Err(failure @ Failure::UnknownKey) => {
                self.refused(*peer, &request.head);
                return Err(failure);
            }
            Err(unsigned) => return Box::pin(self.stranger(request, body, unsigned, *peer, now)).await,
        };
        request.body = whole(body, self.body_bytes_max).await.map_err(unread)?;
        let caller = self.keys.caller(claim, &request.head, &request.body, peer.ip(), now);
        let caller = caller.inspect_err(|_| self.refused(*peer, &request.head))?;
        self.confirming(request, caller, now)
    }

    /// Whoever has the token of another account's subscription confirms it on behalf of who has subscribed; else the caller acts for
    /// himself. Looked for in short forms only, so other requests are not read twice.
    fn confirming(&self, request: &Request, caller: Caller, now: UnixMillis) -> Result<Caller, Failure> {
        const ACTION: &[u8] = b"ConfirmSubscription";
        let Request { head, body } = request;
        let is_short = head.has_form() && body.len() <= STRANGERS_BODY_BYTES_MAX;
        if !is_short || !body.windows(ACTION.len()).any(|part| part == ACTION) {
            return Ok(caller);
        }
        let Some((account, region)) = place_of(request) else { return Ok(caller) };
        let own = self.namespaces.of(caller.account.as_deref(), caller.region.as_deref())?;
        let theirs = self.namespaces.find(Some(&account), Some(&region));
        let Some(theirs) = theirs.filter(|theirs| theirs.namespace.account != own.namespace.account) else {
            return Ok(caller);
        };
        let vhost = &theirs.namespace.vhost;
        match confirmer(&theirs, request, now, |topic| self.engine.broker.bindings_from(vhost, topic)) {
            Some(behalf) => {
                let Behalf { subscriber, account: owner } = behalf?;
                let account = owner.unwrap_or(account);
                Ok(Caller { user: subscriber, account: Some(account), region: Some(region), ..caller })
            }
            None => Ok(caller),
        }
    }

    /// Of whose resources the request speaks.
    fn environment(&self, request: &Request, caller: &Caller) -> Result<Arc<Environment>, Failure> {
        // Who follows a link of a message signs for no region: what it is about says where that is, unless another account has subscribed.
        let of_link = (!caller.is_signed && caller.account.is_none()).then(|| self.of_link(request)).flatten();
        of_link.map_or_else(|| self.namespaces.of(caller.account.as_deref(), caller.region.as_deref()), Ok)
    }

    fn of_link(&self, request: &Request) -> Option<Arc<Environment>> {
        let (account, region) = place_of(request)?;
        self.namespaces.find(Some(&account), Some(&region))
    }

    /// Who has signed nothing can do what a message of a subscription says how to, by its link or by a short form.
    async fn stranger(
        &self,
        request: &mut Request,
        body: Incoming,
        unsigned: Failure,
        peer: SocketAddr,
        now: UnixMillis,
    ) -> Result<Caller, Failure> {
        if request.head.method == Method::POST && request.head.has_form() {
            // Whatever else strangers send, the answer is the same.
            request.body = whole(body, STRANGERS_BODY_BYTES_MAX).await.unwrap_or_default();
        }
        self.bearer(request, peer, now).unwrap_or_else(|| {
            self.refused(peer, &request.head);
            Err(unsigned)
        })
    }

    /// Such a one has no key, and acts for the subscriber.
    fn bearer(&self, request: &Request, peer: SocketAddr, now: UnixMillis) -> Option<Result<Caller, Failure>> {
        if ![Method::GET, Method::POST].contains(&request.head.method) {
            return None;
        }
        let environment = self.of_link(request)?;
        let bindings_of = |topic: &Name| self.engine.broker.bindings_from(&environment.namespace.vhost, topic);
        let (behalf, peer) = (bearer(&environment, request, now, bindings_of)?, Some(peer.ip()));
        Some(behalf.map(|Behalf { subscriber: user, account }| {
            let region = account.is_some().then(|| environment.namespace.region.clone());
            Caller { user, account, region, peer, is_signed: false }
        }))
    }

    fn refused(&self, peer: SocketAddr, head: &Head) {
        let claim = Claim::read(head);
        let user = claim.as_ref().map(Claim::access_key).unwrap_or_default();
        AuthenticationFailed { protocol: Protocol::Aws, peer, user }.emit(&self.engine.metrics);
    }
}

fn unread(missing: Missing) -> Failure {
    match missing {
        Missing::TooLarge => Failure::TooLarge,
        Missing::TooSlow => Failure::Malformed("The body did not come in time.".to_owned()),
        Missing::Broken => Failure::Malformed("The body cannot be read.".to_owned()),
    }
}

/// The certificate, if it is asked for: whoever gets a message checks its signature with it.
async fn certificate(office: &Arc<Office>, head: &Head) -> Option<Body> {
    let path = head.path();
    if head.method != Method::GET || !path.ends_with(".pem") {
        return None;
    }
    let (office, path) = (office.clone(), path.to_owned());
    // The first time, a key is made.
    let found = tokio::task::spawn_blocking(move || office.certificate_at(&path).map(str::to_owned)).await;
    found.ok().flatten().map(Body::from)
}

/// The request is a part of the buffer that the connection reads into, which needs no other one without it. Its table of headers is kept
/// for the answer's, from where the connection takes it for the next request.
fn emptied(request: Request) -> HeaderMap {
    let mut headers = request.head.headers;
    if headers.capacity() > HEADERS_KEPT_MAX {
        return HeaderMap::new();
    }
    headers.clear();
    headers
}

/// An answer whose headers are put into an empty table.
fn to_http(response: crossdock_aws::Response, headers: HeaderMap) -> Response<Body> {
    let mut answer = Response::new(Body::from(response.body));
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *answer.headers_mut() = headers;
    answer.headers_mut().extend(response.headers);
    answer
}
