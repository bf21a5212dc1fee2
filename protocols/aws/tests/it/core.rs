//! A stand-in for the core: queues `q` and `q.fifo`, a topic `t`, and whatever a test puts into them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_aws::{Call, Caller, Environment, Head, Namespaces, Quirks, Request, Response};
use crossdock_common::definition::{
    BindingSpec, Definition, Durability, ExchangeInfo, ExchangeSpec, Fifo, QueueInfo, QueueSettings, QueueSpec,
};
use crossdock_common::event::{Delivery, Late, Reply};
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::refusal::Resource;
use crossdock_common::{
    Command, ConsumerId, Event, Instant, Lane, Message, Name, Now, Refusal, RequestId, UnixMillis, Warrant,
};
use http::{HeaderName, Method};

/// 2026-01-02T03:04:05.678Z.
pub const NOW: Now = Now { instant: Instant(5_000_000), unix: UnixMillis(1_767_323_045_678) };

#[derive(Default)]
pub struct Core {
    /// What a fetch gives.
    pub deliveries: Vec<Delivery>,
    /// What was published.
    pub published: Vec<Arc<Message>>,
    /// So many messages more than two are in flight in each queue.
    pub in_flight: u64,
    /// What all topics together are bound to.
    pub bindings: Vec<BindingSpec>,
    /// So many changes come too late: what they were made of is not so any more.
    pub outrun: usize,
    /// Memory is short.
    pub blocked: bool,
    /// What it was told to let through.
    pub warrants: Vec<Warrant>,
    /// Every command that was asked for, as text.
    pub commands: Vec<String>,
}

pub fn environment() -> Arc<Environment> {
    Arc::new(Environment {
        namespace: Namespaces {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            regions_together: true,
        }
        .of(None, None)
        .expect("the home"),
        message_bytes_max: 1 << 20,
        receipt_key: b"key".to_vec(),
        quirks: Quirks::default(),
        memory: Arc::default(),
        office: None,
        directory: None,
    })
}

/// A JSON request as botocore sends it.
pub fn json(action: &str, body: &str) -> Request {
    let headers = [
        ("host", "localhost:9324"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", &format!("AmazonSQS.{action}")),
        ("x-amzn-query-mode", "true"),
    ];
    request("/", &headers, body)
}

/// A Query request as botocore sends it.
pub fn form(path: &str, body: &str) -> Request {
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    request(path, &[("host", "localhost:9324"), ("content-type", kind)], body)
}

pub fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    // What is no URI gets no further than the server of HTTP.
    let mut head = Head { method: Method::POST, uri: path.parse().unwrap_or_default(), ..Head::default() };
    let header =
        |(name, value): &(&str, &str)| (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
    head.headers.extend(headers.iter().map(header));
    Request { head, body: Bytes::copy_from_slice(body.as_bytes()) }
}

pub fn delivery(message: Message, position: u64) -> Delivery {
    Delivery {
        consumer: ConsumerId(0),
        id: DeliveryId { queue: QueueId(1), position, lease: 1 },
        message: Arc::new(message),
        delivery_count: 2,
        is_counted: true,
        first_delivered_at: UnixMillis(1_767_323_045_000),
        expires_at: None,
        binding: None,
        stream_offset: None,
    }
}

pub fn bound(delivery: Delivery, binding: BindingSpec) -> Delivery {
    Delivery { binding: Some(Arc::new(binding)), ..delivery }
}

impl Core {
    /// Carries a request to its response; panics if there is none.
    pub fn answer(&mut self, request: &Request) -> Response {
        let caller = Caller { user: Name::from("alice"), account: None, region: None, peer: None, is_signed: false };
        let mut call = Call::new(environment(), request, caller, NOW, 1);
        if self.blocked {
            call.handle(NOW, Event::Blocked { reason: "memory" });
        }
        let mut commands = VecDeque::new();
        loop {
            if let Some(response) = call.response() {
                return response;
            }
            self.warrants.extend(call.commands(&mut commands));
            assert!(!commands.is_empty(), "the call waits for nothing");
            for command in commands.drain(..) {
                self.commands.push(format!("{command:?}"));
                if let Some(event) = self.carry_out(command) {
                    call.handle(NOW, event);
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Option<Event> {
        let reply = |request: RequestId, result| Some(Event::Reply { request, result });
        match command {
            Command::Open { request, .. } => reply(request, Ok(Reply::Done)),
            Command::Define { request, definition } => {
                let mut answer = match *definition {
                    Definition::IfKept { .. } if self.outrun > 0 => {
                        self.outrun -= 1;
                        Err(Refusal::Changed)
                    }
                    Definition::ListBindings { source: None } => Ok(Reply::Bindings(self.bindings.clone())),
                    other => define(other),
                };
                if let Ok(Reply::QueueInfo(info)) = &mut answer {
                    info.unsettled += self.in_flight;
                }
                reply(request, answer)
            }
            Command::Fetch { request, .. } => {
                Some(Event::Fetched { request, deliveries: self.deliveries.clone(), ready: 0 })
            }
            Command::Settle { request: Some(request), .. } => reply(request, Ok(Reply::Done)),
            Command::Purge { request, .. } => reply(request, Ok(Reply::Count(0))),
            Command::ExtendLease { request, .. } => {
                reply(request, Err(Refusal::UnknownDelivery("it is not in flight".to_owned())))
            }
            Command::SettleLate { request, .. } => reply(request, Ok(Reply::Late(Late::Gone))),
            Command::Publish(publish) => {
                self.published.push(publish.message);
                Some(Event::Confirmed { lane: Lane(0), confirms: publish.confirm.into_iter().collect() })
            }
            _ => None,
        }
    }
}

fn define(definition: Definition) -> Result<Reply, Refusal> {
    let missing =
        |resource, name: &Name| Err(Refusal::NotFound { resource, name: name.clone(), vhost: Name::from("/") });
    match definition {
        Definition::InspectQueue { name } if name.as_str() == "q" => Ok(Reply::QueueInfo(Box::new(queue_info()))),
        Definition::InspectQueue { name } if name.as_str() == "q.fifo" => {
            let mut info = queue_info();
            info.spec.name = name;
            info.spec.settings.fifo = Some(Fifo::default());
            Ok(Reply::QueueInfo(Box::new(info)))
        }
        Definition::InspectQueue { name } => missing(Resource::Queue, &name),
        Definition::InspectExchange { name } if name.as_str() == "t" => Ok(Reply::ExchangeInfo(Box::new(topic_info()))),
        Definition::InspectExchange { name } => missing(Resource::Exchange, &name),
        Definition::ListQueues { .. } => Ok(Reply::Queues(vec![queue_info()])),
        Definition::ListExchanges { .. } => Ok(Reply::Exchanges(vec![topic_info()])),
        Definition::ListBindings { .. } => Ok(Reply::Bindings(Vec::new())),
        _ => Ok(Reply::Done),
    }
}

pub fn queue_info() -> QueueInfo {
    let settings = QueueSettings { delay_ms: Some(5_000), ..QueueSettings::default() };
    let spec = QueueSpec { name: Name::from("q"), durable: true, settings: settings.into(), ..QueueSpec::default() };
    let (ready, unsettled, delayed, consumers) = (3, 2, 1, 0);
    let durability = Durability::default();
    QueueInfo { spec, ready, unsettled, delayed, consumers, durability, created_at: NOW.unix, changed_at: NOW.unix }
}

pub fn topic_info() -> ExchangeInfo {
    let spec = ExchangeSpec {
        name: Name::from("t"),
        kind: Name::from("fanout"),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Vec::new(),
        attributes: Vec::new(),
    };
    ExchangeInfo { spec, created_at: NOW.unix }
}
