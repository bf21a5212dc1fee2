//! The SQS and SNS APIs: HTTP requests to calls of `crossdock-aws`, calls to the core.

mod keys;
mod namespaces;
mod session;
mod turn;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::response::Response;
use crossdock_aws::namespaces::place_of;
use crossdock_aws::{Caller, Environment, Failure, Quirks, Request, bearer, refuse};
use crossdock_common::{Name, UnixMillis};

use super::body::{Missing, whole};
use crate::bridges::sns::Office;
use crate::broker::Engine;
use crate::config::Settings;
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
/// The document that keeps the key of receipt handles.
const DOCUMENT: &str = "aws";
const RECEIPT_KEY: &str = "receipt-key";
const RECEIPT_KEY_BYTES: usize = 32;

struct Endpoint {
    engine: Arc<Engine>,
    namespaces: Namespaces,
    keys: Keys,
    body_bytes_max: usize,
    seeds: AtomicU64,
    office: Arc<Office>,
}

/// Everything on one port: `/` and every queue's path, for SQS, SNS and STS.
///
/// # Errors
/// The operating system gives no random numbers.
pub fn router(engine: Arc<Engine>, office: Arc<Office>, settings: &Settings, seed: u64) -> Result<Router> {
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
    };
    let endpoint = Endpoint {
        namespaces: Namespaces::new(engine.clone(), rules, home),
        engine,
        keys: Keys::new(settings),
        body_bytes_max: message_bytes_max * SPELLING_MAX + PARAMETERS_BYTES,
        seeds: AtomicU64::new(seed),
        office,
    };
    Ok(Router::new().fallback(serve).with_state(Arc::new(endpoint)))
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

async fn serve(
    State(endpoint): State<Arc<Endpoint>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: axum::extract::Request,
) -> Response {
    let seed = endpoint.seeds.fetch_add(1, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    if let Some(pem) = certificate(&endpoint.office, &parts).await {
        return Response::builder().header("content-type", "application/x-pem-file").body(pem).unwrap_or_default();
    }
    let mut request = head(&parts);
    match endpoint.answer(peer, &mut request, body, seed).await {
        Ok(response) => to_axum(response),
        Err(failure) => to_axum(refuse(&request, &failure, seed)),
    }
}

impl Endpoint {
    async fn answer(
        &self,
        peer: SocketAddr,
        request: &mut Request,
        body: Body,
        seed: u64,
    ) -> Result<crossdock_aws::Response, Failure> {
        let now = self.engine.clock.now();
        let caller = match self.bearer(request, peer, now.unix) {
            Some(bearer) => bearer?,
            None => {
                // Strangers are turned away before their body is read.
                self.keys.expect(request).inspect_err(|_| self.refused(peer, request))?;
                request.body = self.read(body).await?;
                self.keys.caller(request, peer.ip(), now.unix).inspect_err(|_| self.refused(peer, request))?
            }
        };
        let environment = self.environment(request, &caller)?;
        Ok(Session::new(self.engine.clone()).run(environment, request, caller, seed).await)
    }

    /// Of whose resources the request speaks.
    fn environment(&self, request: &Request, caller: &Caller) -> Result<Arc<Environment>, Failure> {
        match self.of_link(request) {
            Some(environment) => Ok(environment),
            None => self.namespaces.of(caller.account.as_deref(), caller.region.as_deref()),
        }
    }

    /// Who follows a link of a message signs for no region: what it is about says where that is.
    fn of_link(&self, request: &Request) -> Option<Arc<Environment>> {
        if crossdock_aws::sigv4::claimed(request).is_some() {
            return None;
        }
        let (account, region) = place_of(request)?;
        self.namespaces.find(Some(&account), Some(&region))
    }

    /// Who follows a link of a message has no key, and acts for the subscriber. A request without a body.
    fn bearer(&self, request: &Request, peer: SocketAddr, now: UnixMillis) -> Option<Result<Caller, Failure>> {
        if !self.keys.are_checked() || request.method != "GET" || crossdock_aws::sigv4::claimed(request).is_some() {
            return None;
        }
        let environment = self.of_link(request)?;
        let bindings_of = |topic: &Name| self.engine.broker.bindings_from(&environment.namespace.vhost, topic);
        let user = bearer(&environment, request, now, bindings_of)?;
        Some(user.map(|user| Caller { user, account: None, region: None, peer: Some(peer.ip()) }))
    }

    async fn read(&self, body: Body) -> Result<bytes::Bytes, Failure> {
        whole(body, self.body_bytes_max).await.map_err(|missing| match missing {
            Missing::TooLarge => Failure::TooLarge,
            Missing::TooSlow => Failure::Malformed("The body did not come in time.".to_owned()),
            Missing::Broken => Failure::Malformed("The body cannot be read.".to_owned()),
        })
    }

    fn refused(&self, peer: SocketAddr, request: &Request) {
        let user = crossdock_aws::sigv4::claimed(request).map(|signer| signer.access_key).unwrap_or_default();
        AuthenticationFailed { protocol: Protocol::Aws, peer, user: &user }.emit(&self.engine.metrics);
    }
}

/// The certificate, if it is asked for: whoever gets a message checks its signature with it.
async fn certificate(office: &Arc<Office>, parts: &Parts) -> Option<Body> {
    let path = parts.uri.path();
    if parts.method != axum::http::Method::GET || !path.ends_with(".pem") {
        return None;
    }
    let (office, path) = (office.clone(), path.to_owned());
    // The first time, a key is made.
    let found = tokio::task::spawn_blocking(move || office.certificate_at(&path).map(str::to_owned)).await;
    found.ok().flatten().map(Body::from)
}

fn head(parts: &Parts) -> Request {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(header).collect(),
        body: bytes::Bytes::new(),
    }
}

fn to_axum(response: crossdock_aws::Response) -> Response {
    let mut builder = Response::builder().status(response.status);
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    // Names are constants and values are ASCII: there is nothing that could be refused.
    builder.body(Body::from(response.body)).unwrap_or_default()
}
