//! How a workload is done on a broker: what is spoken, and over which connections.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::amqp::Amqp;
use crate::block::{Block, Letter};
use crate::mqtt::Mqtt;
use crate::nats::Nats;
use crate::receive::Receiver;
use crate::send::Sender;
use crate::server::{Ports, Server, pause};
use crate::stomp::Stomp;
use crate::wire::{Acknowledge, Acks, Ear, Wire};
use crate::workload::{Protocol, QUORUM, Workload};

const FANOUT: &str = "amq.fanout";

/// A workload on a broker.
#[derive(Clone)]
pub struct Plan<'a> {
    pub server: &'a Server,
    pub workload: Workload,
    /// The broker as the table calls it.
    pub label: String,
    pub wire: Wire,
    /// There is no broker, only the relay: no handshake, no queues.
    is_bare: bool,
}

impl<'a> Plan<'a> {
    /// The ways to do a workload on this broker: none if it does not speak the protocol, several if it has several kinds of queues.
    pub fn all(server: &'a Server, workload: Workload) -> Vec<Self> {
        let (name, ports) = (server.name.as_str(), &server.ports);
        let plan = |label: &str, wire| Self {
            server,
            workload,
            label: label.to_owned(),
            wire,
            is_bare: ports.relay.is_some(),
        };
        match workload.wire() {
            // Neither acknowledges nor confirms anything: on both sides that is left out.
            // The relay does not know where its frames end.
            Wire::Stomp if ports.stomp.is_none() => Vec::new(),
            wire if workload.over_web && ports.web(wire).is_none() => Vec::new(),
            wire if ports.relay.is_some() => vec![plan(name, wire).plain()],
            _ if ports.nats.is_some() && workload.is_plain() => vec![plan(name, Wire::Nats)],
            wire if name == "rabbitmq" && wire == Wire::Amqp && workload.is_durable() => {
                vec![plan("rabbitmq classic (no sync)", wire), plan("rabbitmq quorum (syncs)", wire).quorum()]
            }
            wire if ports.speak(wire) => vec![plan(name, wire)],
            _ => Vec::new(),
        }
    }

    fn quorum(mut self) -> Self {
        self.workload.arguments = QUORUM;
        self
    }

    fn plain(mut self) -> Self {
        self.workload.unconfirmed_max = None;
        self.workload.acknowledge = Acknowledge::Automatic;
        if let Protocol::Mqtt { qos } = &mut self.workload.protocol {
            *qos = 0;
        }
        self
    }

    fn ports(&self) -> &Ports {
        &self.server.ports
    }

    /// Declares what is needed, and connects consumers and publishers: messages of all publishers together at that rate.
    pub fn connect(&self, rate: Option<f64>) -> Result<(Vec<Receiver>, Vec<Sender>)> {
        if self.wire == Wire::Amqp && !self.is_bare {
            self.declare()?;
        }
        let receivers = (0..self.workload.queues).map(|number| self.receiver(number)).collect::<Result<_>>()?;
        let rate = rate.map(|rate| rate / self.workload.publishers as f64);
        let senders = (0..self.workload.publishers).map(|number| self.sender(number, rate)).collect::<Result<_>>()?;
        // The relay has to have accepted all before the first byte.
        pause(Duration::from_millis(100));
        Ok((receivers, senders))
    }

    fn declare(&self) -> Result<()> {
        let mut amqp = Amqp::open(self.ports().amqp.context("no AMQP")?)?;
        for number in 0..self.workload.queues {
            amqp.declare(&queue(number), self.workload.is_durable(), self.workload.arguments)?;
            if self.workload.fan_out {
                amqp.bind(&queue(number), FANOUT)?;
            }
        }
        Ok(())
    }

    /// Removes the queues again.
    pub fn clean_up(&self) -> Result<()> {
        if self.wire == Wire::Amqp && !self.is_bare {
            let mut amqp = Amqp::open(self.ports().amqp.context("no AMQP")?)?;
            (0..self.workload.queues).try_for_each(|number| amqp.delete(&queue(number)))?;
        }
        pause(Duration::from_millis(200));
        Ok(())
    }

    fn receiver(&self, number: usize) -> Result<Receiver> {
        let (stream, ear) = match (&self.ports().relay, self.wire) {
            (Some((_, port)), wire) => (bare(*port)?, Ear::of(wire)),
            (_, Wire::Amqp) => self.amqp_consumer(number)?,
            (_, Wire::Mqtt) => {
                let mut mqtt = self.mqtt(&format!("consumer{number}"))?;
                mqtt.subscribe(&self.key(number), self.qos())?;
                (mqtt.stream, Ear::Mqtt(mqtt.packets))
            }
            (_, Wire::Stomp) => {
                let mut stomp = self.stomp()?;
                stomp.subscribe(&self.key(number))?;
                (stomp.stream, Ear::Stomp(stomp.frames))
            }
            (_, Wire::Nats) => {
                let mut nats = Nats::open(self.ports().nats.context("no NATS")?)?;
                nats.subscribe(&self.key(number))?;
                (nats.stream, Ear::Nats(nats.lines))
            }
        };
        Ok(Receiver::new(stream, ear, Acks::of(self.wire, self.workload.acknowledge)))
    }

    fn mqtt(&self, name: &str) -> Result<Mqtt> {
        match self.ports().web(Wire::Mqtt).filter(|_| self.workload.over_web) {
            Some(place) => Mqtt::open_web(place, name),
            None => Mqtt::open(self.ports().mqtt.context("no MQTT")?, name),
        }
    }

    fn stomp(&self) -> Result<Stomp> {
        match self.ports().web(Wire::Stomp).filter(|_| self.workload.over_web) {
            Some(place) => Stomp::open_web(place),
            None => Stomp::open(self.ports().stomp.context("no STOMP")?),
        }
    }

    fn amqp_consumer(&self, number: usize) -> Result<(TcpStream, Ear)> {
        let mut amqp = Amqp::open(self.ports().amqp.context("no AMQP")?)?;
        if let Some(prefetch) = self.workload.prefetch {
            amqp.qos(prefetch)?;
        }
        amqp.consume(&queue(number), self.workload.acknowledge == Acknowledge::Automatic)?;
        Ok((amqp.stream, Ear::Amqp { frames: amqp.frames, tag: 0 }))
    }

    fn sender(&self, number: usize, rate: Option<f64>) -> Result<Sender> {
        let (stream, ear) = match (&self.ports().relay, self.wire) {
            (Some((port, _)), wire) => (bare(*port)?, Ear::of(wire)),
            (_, Wire::Amqp) => {
                let mut amqp = Amqp::open(self.ports().amqp.context("no AMQP")?)?;
                if self.workload.unconfirmed_max.is_some() {
                    amqp.select_confirms()?;
                }
                (amqp.stream, Ear::Amqp { frames: amqp.frames, tag: 0 })
            }
            (_, Wire::Mqtt) => {
                let mqtt = self.mqtt(&format!("publisher{number}"))?;
                (mqtt.stream, Ear::Mqtt(mqtt.packets))
            }
            (_, Wire::Stomp) => {
                let stomp = self.stomp()?;
                (stomp.stream, Ear::Stomp(stomp.frames))
            }
            (_, Wire::Nats) => {
                let nats = Nats::open(self.ports().nats.context("no NATS")?)?;
                (nats.stream, Ear::Nats(nats.lines))
            }
        };
        Ok(Sender::new(stream, ear, self.block(number), rate, self.workload.unconfirmed_max))
    }

    fn block(&self, number: usize) -> Block {
        let exchange = if self.workload.fan_out { FANOUT } else { "" };
        let key = if self.wire == Wire::Amqp { queue(number % self.workload.queues) } else { self.key(number) };
        let (persistent, body_bytes) = (self.workload.is_durable(), self.workload.body_bytes);
        let (qos, with_receipts) = (self.qos(), self.workload.unconfirmed_max.is_some());
        let (wire, in_web) = (self.wire, self.workload.over_web);
        Block::of(&Letter { wire, exchange, key: &key, persistent, qos, in_web, with_receipts, body_bytes })
    }

    /// The topic or subject of a publisher or consumer.
    fn key(&self, number: usize) -> String {
        let number = if self.workload.fan_out { 0 } else { number % self.workload.queues };
        format!("load{number}")
    }

    fn qos(&self) -> u8 {
        match self.workload.protocol {
            Protocol::Mqtt { qos } => qos,
            Protocol::Amqp { .. } | Protocol::Stomp { .. } => 0,
        }
    }
}

fn queue(number: usize) -> String {
    format!("load{number}")
}

fn bare(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
