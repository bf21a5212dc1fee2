//! `$SYS`: what the broker says of itself over MQTT, under Mosquitto's names.

mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossdock_common::{Name, Now};
use crossdock_mqtt::announcement;
use tokio::time::{MissedTickBehavior, interval};

use super::Engine;
use crate::config::MqttSettings;
use crate::telemetry::{Protocol, anonymous_bytes};
use load::Load;

/// Queues are asked once in so many times the time that it takes.
const LOOK_SHARE: u32 = 100;

/// Announces every `mqtt.sys_interval_ms`, as long as the process lives; never if that is 0.
pub fn announce_regularly(engine: Arc<Engine>, settings: &MqttSettings) {
    if settings.sys_interval_ms.0 == 0 {
        return;
    }
    let (every, exchange) = (settings.sys_interval_ms.duration(), Name::from(settings.exchange.as_str()));
    tokio::spawn(async move {
        let mut ticks = interval(every);
        // After a pause of the machine nobody wants to hear the same again and again.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sys = Sys {
            exchange,
            every,
            clients_maximum: 0,
            load: Load::default(),
            queues: Queues::default(),
            heap_bytes_max: 0,
        };
        loop {
            ticks.tick().await;
            sys.announce(&engine);
        }
    });
}

struct Sys {
    exchange: Name,
    every: Duration,
    /// Most clients that were connected at the same time.
    clients_maximum: u64,
    load: Load,
    queues: Queues,
    heap_bytes_max: u64,
}

/// What all queues say together. To ask them takes the longer the more there are, so it is done the less often the longer it takes:
/// at most for a hundredth of the time.
#[derive(Default)]
struct Queues {
    stored: u64,
    stored_bytes: u64,
    in_flight: u64,
    dropped: u64,
    /// Until then, the numbers are as they were.
    good_until: Option<Instant>,
}

impl Queues {
    fn look(&mut self, engine: &Engine) {
        let begun = Instant::now();
        if self.good_until.is_some_and(|until| begun < until) {
            return;
        }
        let (ledger, counts) = (engine.broker.ledger().0, engine.broker.counts());
        self.stored = counts.ready + counts.unsettled;
        self.in_flight = counts.unsettled;
        self.stored_bytes = engine.broker.messages_memory_bytes();
        self.dropped = ledger.dropped + ledger.expired + ledger.rejected;
        self.good_until = Some(begun + LOOK_SHARE * begun.elapsed());
    }
}

/// MQTT's counters at one moment. Sent and received are meant from the broker's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    publish_received: u64,
    publish_sent: u64,
    publish_bytes_received: u64,
    publish_bytes_sent: u64,
    bytes_received: u64,
    bytes_sent: u64,
    sockets: u64,
    /// Clients that said who they are.
    connections: u64,
    dropped: u64,
}

impl Figures {
    fn of(engine: &Engine, queues: &Queues) -> Self {
        let mqtt = engine.metrics.protocol(Protocol::Mqtt);
        Self {
            publish_received: mqtt.messages_published.get(),
            publish_sent: mqtt.messages_delivered.get(),
            publish_bytes_received: mqtt.published_body_bytes.get(),
            publish_bytes_sent: mqtt.delivered_body_bytes.get(),
            bytes_received: mqtt.received_bytes.get(),
            bytes_sent: mqtt.sent_bytes.get(),
            sockets: mqtt.connections_opened.get(),
            connections: mqtt.authentications.get() + mqtt.authentication_failures.get(),
            dropped: queues.dropped,
        }
    }
}

impl Sys {
    fn announce(&mut self, engine: &Engine) {
        self.queues.look(engine);
        let (now, figures) = (engine.clock.now(), Figures::of(engine, &self.queues));
        self.load.take(&figures, self.every);
        self.say(engine, now, "version", format!("crossdock version {}", env!("CARGO_PKG_VERSION")));
        self.say(engine, now, "uptime", format!("{} seconds", engine.clock.uptime_ms() / 1_000));
        for (topic, number) in
            self.clients(engine).into_iter().chain(messages(engine, &figures, &self.queues, &self.exchange))
        {
            self.say(engine, now, topic, number.to_string());
        }
        let heap_bytes = anonymous_bytes().unwrap_or_default();
        self.heap_bytes_max = self.heap_bytes_max.max(heap_bytes);
        self.say(engine, now, "heap/current size", heap_bytes.to_string());
        self.say(engine, now, "heap/maximum size", self.heap_bytes_max.to_string());
        for (topic, per_minute) in self.load.topics() {
            self.say(engine, now, &topic, format!("{per_minute:.2}"));
        }
    }

    fn say(&self, engine: &Engine, now: Now, topic: &str, text: String) {
        let message = announcement(&self.exchange, &format!("$SYS/broker/{topic}"), text, now.unix);
        engine.broker.announce(now, message);
    }

    fn clients(&mut self, engine: &Engine) -> [(&'static str, u64); 7] {
        let (all, away) = engine.broker.session_counts();
        let (all, away) = (all as u64, away as u64);
        let connected = all - away;
        self.clients_maximum = self.clients_maximum.max(connected);
        [
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/disconnected", away),
            ("clients/inactive", away),
            ("clients/total", all),
            ("clients/maximum", self.clients_maximum),
            ("clients/expired", engine.broker.sessions_expired()),
        ]
    }
}

fn messages(engine: &Engine, figures: &Figures, queues: &Queues, exchange: &Name) -> [(&'static str, u64); 15] {
    [
        ("messages/received", figures.publish_received),
        ("messages/sent", figures.publish_sent),
        ("messages/inflight", queues.in_flight),
        ("messages/stored", queues.stored),
        ("store/messages/count", queues.stored),
        ("store/messages/bytes", queues.stored_bytes),
        ("publish/messages/received", figures.publish_received),
        ("publish/messages/sent", figures.publish_sent),
        ("publish/messages/dropped", figures.dropped),
        ("publish/bytes/received", figures.publish_bytes_received),
        ("publish/bytes/sent", figures.publish_bytes_sent),
        ("bytes/received", figures.bytes_received),
        ("bytes/sent", figures.bytes_sent),
        ("subscriptions/count", engine.broker.binding_count(exchange) as u64),
        ("retained messages/count", engine.broker.retained_count() as u64),
    ]
}
