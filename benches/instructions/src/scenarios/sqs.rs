//! SQS requests as botocore sends them, from a request that was read whole to its response.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_aws::sigv4::{Claim, SigningKeys};
use crossdock_aws::{Call, Caller, Environment, Head, Request, Response};
use crossdock_common::event::Principal;
use crossdock_common::{Name, RequestId};
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::peer::USER;
use crate::probe::{MESSAGES, Probe, Stage};
use crate::world::{NOW, World, environment};

const QUEUE_URL: &str = "http://localhost:9324/000000000000/orders";
/// Messages of one ReceiveMessage; more are not allowed.
const RECEIVED_MAX: usize = 10;
const ACCESS_KEY: &str = "guest";
const SECRET: &str = "secret";
/// Of the request that `Endpoint::send` makes for a body of 16 bytes.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=guest/20260102/us-east-1/sqs/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
    Signature=28643cb0fe57893ea5341b4dbfd45aa2057120153d7ec233b0075cb0c8eda59b";

/// What all requests share.
struct Endpoint {
    world: World,
    environment: Arc<Environment>,
    requests: u64,
}

/// Each message is sent by a request of its own, ten are received by one, each is deleted by one.
pub fn send_receive_delete(probe: &mut Probe, body_bytes: usize) {
    let mut endpoint = Endpoint::new();
    endpoint.answer(&request("CreateQueue", &json!({ "QueueName": "orders" })));
    probe.rounds(|probe| {
        let send = send(body_bytes);
        for _ in 0..MESSAGES {
            probe.stage(Stage::Send, || drop(endpoint.answer(&send)));
        }
        for _ in 0..MESSAGES / RECEIVED_MAX {
            endpoint.receive_and_delete(probe);
        }
    });
}

/// The check that comes before, of a caller whose signing key is known.
pub fn verify(probe: &mut Probe) {
    let (mut request, keys) = (send(16), SigningKeys::default());
    request.head.headers.insert("authorization", HeaderValue::from_static(AUTHORIZATION));
    probe.rounds(|probe| {
        for _ in 0..MESSAGES {
            probe.stage(Stage::Verify, || {
                let claim = Claim::read(&request.head).expect("a claim");
                let verified = claim.verify(&request.head, &request.body, NOW.unix, &keys, |_| Some(SECRET.to_owned()));
                assert_eq!((verified, claim.access_key()), (Ok(()), ACCESS_KEY));
            });
        }
    });
}

impl Endpoint {
    fn new() -> Self {
        Self { world: World::new(), environment: Arc::new(environment()), requests: 0 }
    }

    fn receive_and_delete(&mut self, probe: &Probe) {
        let receive = request("ReceiveMessage", &json!({ "QueueUrl": QUEUE_URL, "MaxNumberOfMessages": RECEIVED_MAX }));
        let mut response = None;
        probe.stage(Stage::Receive, || response = Some(self.answer(&receive)));
        let body: Value = response.and_then(|response| serde_json::from_slice(&response.body).ok()).unwrap_or_default();
        let messages = body["Messages"].as_array().cloned().unwrap_or_default();
        assert_eq!(messages.len(), RECEIVED_MAX);
        for message in messages {
            let handle = &message["ReceiptHandle"];
            let delete = request("DeleteMessage", &json!({ "QueueUrl": QUEUE_URL, "ReceiptHandle": handle }));
            probe.stage(Stage::Delete, || drop(self.answer(&delete)));
        }
    }

    /// Carries a request to its response over a connection of its own, as `src/http/aws/session.rs` does.
    fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        let mut client = self.world.connect();
        client.authenticated(RequestId(0), Principal { name: USER.into(), tags: Vec::new() });
        let caller = Caller { user: Name::from(USER), account: None, region: None, peer: None, is_signed: true };
        let mut call = Call::new(self.environment.clone(), request, caller, NOW, self.requests);
        let (mut commands, mut events) = (VecDeque::new(), VecDeque::new());
        let response = loop {
            call.commands(&mut commands).into_iter().for_each(|warrant| client.allow(warrant));
            client.execute(NOW, &mut commands);
            self.world.make_durable();
            client.take_events(NOW, &mut events);
            events.drain(..).for_each(|event| call.handle(NOW, event));
            if let Some(response) = call.response() {
                break response;
            }
        };
        client.close(NOW);
        assert_eq!(response.status, 200, "{response:?}");
        response
    }
}

fn send(body_bytes: usize) -> Request {
    request("SendMessage", &json!({ "QueueUrl": QUEUE_URL, "MessageBody": "x".repeat(body_bytes) }))
}

fn request(action: &str, parameters: &Value) -> Request {
    let headers = [
        ("host", "localhost:9324"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-date", "20260102T030405Z"),
        ("x-amz-target", &format!("AmazonSQS.{action}")),
    ];
    let mut head = Head { method: Method::POST, ..Head::default() };
    for (name, value) in headers {
        head.headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    Request { head, body: Bytes::from(parameters.to_string()) }
}
