//! `$SYS`: what the broker says of itself over MQTT, under Mosquitto's names.

mod load;

use std::sync::Arc;
use std::time::Duration;

use crossdock_common::{Name, Now};
use crossdock_mqtt::announcement;
use tokio::time::{MissedTickBehavior, interval};

use super::Engine;
use crate::config::MqttSettings;
use crate::telemetry::Protocol;
use load::Load;

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
        let mut sys = Sys { exchange, every, clients_maximum: 0, load: Load::default() };
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
}

/// MQTT's counters at one moment. Sent and received are meant from the broker's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    publish_received: u64,
    publish_sent: u64,
    bytes_received: u64,
    bytes_sent: u64,
    connections: u64,
}

impl Figures {
    fn of(engine: &Engine) -> Self {
        let mqtt = engine.metrics.protocol(Protocol::Mqtt);
        Self {
            publish_received: mqtt.messages_published.get(),
            publish_sent: mqtt.messages_delivered.get(),
            bytes_received: mqtt.received_bytes.get(),
            bytes_sent: mqtt.sent_bytes.get(),
            connections: mqtt.connections_opened.get(),
        }
    }
}

impl Sys {
    fn announce(&mut self, engine: &Engine) {
        let (now, figures) = (engine.clock.now(), Figures::of(engine));
        self.load.take(&figures, self.every);
        self.say(engine, now, "version", format!("crossdock version {}", env!("CARGO_PKG_VERSION")));
        self.say(engine, now, "uptime", format!("{} seconds", engine.clock.uptime_ms() / 1_000));
        for (topic, number) in self.clients(engine).into_iter().chain(messages(engine, &figures, &self.exchange)) {
            self.say(engine, now, topic, number.to_string());
        }
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

fn messages(engine: &Engine, figures: &Figures, exchange: &Name) -> [(&'static str, u64); 12] {
    let (ledger, counts) = (engine.broker.ledger().0, engine.broker.counts());
    let stored = counts.ready + counts.unsettled;
    [
        ("messages/received", figures.publish_received),
        ("messages/sent", figures.publish_sent),
        ("messages/stored", stored),
        ("store/messages/count", stored),
        ("store/messages/bytes", engine.broker.messages_memory_bytes()),
        ("publish/messages/received", figures.publish_received),
        ("publish/messages/sent", figures.publish_sent),
        ("publish/messages/dropped", ledger.dropped + ledger.expired + ledger.rejected),
        ("bytes/received", figures.bytes_received),
        ("bytes/sent", figures.bytes_sent),
        ("subscriptions/count", engine.broker.binding_count(exchange) as u64),
        ("retained messages/count", engine.broker.retained_count() as u64),
    ]
}
