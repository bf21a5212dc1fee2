//! A caller of the AWS APIs with the whole core behind them, driven as `src/http/aws/session.rs` does.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_aws::sigv4::{Claim, SigningKeys};
use crossdock_aws::{Call, Caller, Environment, Request, Response};
use crossdock_common::event::Principal;
use crossdock_common::{Instant, Now, RequestId, UnixMillis};
use crossdock_core::Client;
use crossdock_instructions::world::{NOW, World, environment};

/// A request that only waits for messages has its answer after that, in seconds: longer than the longest wait.
const PATIENCE_S: u64 = 25;
const USER: &str = "guest";

/// One account's endpoint.
pub struct Endpoint {
    world: World,
    environment: Arc<Environment>,
    now: Now,
    requests: u64,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { world: World::new(), environment: Arc::new(environment()), now: NOW, requests: 0 }
    }
}

impl Endpoint {
    /// Carries a request to its response. There is one in the end, and no defect says so.
    pub fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let mut client = self.world.connect();
        client.authenticated(RequestId(0), Principal { name: USER.into(), tags: Vec::new() });
        let caller = Caller { user: USER.into(), account: None, region: None, peer: None, is_signed: true };
        let mut call = Call::new(self.environment.clone(), request, caller, self.now, self.requests);
        let mut waited_s = 0;
        let response = loop {
            self.talk(&mut client, &mut call);
            if let Some(response) = call.response() {
                break response;
            }
            assert!(waited_s < PATIENCE_S, "no answer");
            waited_s += 1;
            self.wait(1_000);
        };
        client.close(self.now);
        self.world.make_durable();
        assert!(response.status != 500, "{response:?}");
        response
    }

    /// Lets call and core talk until both are silent.
    fn talk(&self, client: &mut Client, call: &mut Call) {
        let (mut commands, mut events) = (VecDeque::new(), VecDeque::new());
        loop {
            call.commands(&mut commands).into_iter().for_each(|warrant| client.allow(warrant));
            client.execute(self.now, &mut commands);
            self.world.make_durable();
            client.take_events(self.now, &mut events);
            if events.is_empty() {
                return;
            }
            events.drain(..).for_each(|event| call.handle(self.now, event));
        }
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        self.now = Now { instant: Instant(self.now.instant.0 + ms * 1_000), unix: UnixMillis(self.now.unix.0 + ms) };
        self.world.tick(self.now);
        self.world.make_durable();
    }
}

/// Whether the request's signature is good, which nobody can guess.
pub fn is_signed(request: &Request) -> bool {
    let verify = |claim: Claim<'_>| {
        let secret = |_: &str| Some("secret".to_owned());
        claim.verify(&request.head, &request.body, NOW.unix, &SigningKeys::default(), secret)
    };
    Claim::read(&request.head).and_then(verify).is_ok()
}
