//! All scenarios, and which of their stages are rows of the table.

mod across;
mod amqp091;
mod core;
mod mqtt;
mod sqs;
mod stomp;

use crate::probe::{Probe, Stage};
use Stage::{
    Confirm, Core, Decode, DecodeAck, Delete, Deliver, Durable, Encode, Enqueue, Receive, Route, Send, Settle, Verify,
};
use core::Settling;

/// A way that messages go.
pub struct Scenario {
    pub name: &'static str,
    /// The stages that are counted, each in a run of its own.
    pub stages: &'static [Stage],
    /// Goes the way.
    pub run: fn(&mut Probe),
}

const PASSED: &[Stage] = &[Decode, Core, Encode];
const KEPT: &[Stage] = &[Decode, Core, Durable, Confirm, Encode, DecodeAck, Settle];

const fn scenario(name: &'static str, stages: &'static [Stage], run: fn(&mut Probe)) -> Scenario {
    Scenario { name, stages, run }
}

/// Names say the size of a body in bytes where it matters.
pub const SCENARIOS: &[Scenario] = &[
    scenario("amqp091-auto-ack-16", PASSED, |probe| amqp091::auto_ack(probe, 16)),
    scenario("amqp091-auto-ack-1024", PASSED, |probe| amqp091::auto_ack(probe, 1024)),
    scenario("amqp091-alternating-16", PASSED, |probe| amqp091::alternating(probe, 16)),
    scenario("amqp091-acks-16", &[Decode, Core, Confirm, Encode, DecodeAck, Settle], |probe| amqp091::acks(probe, 16)),
    scenario("amqp091-durable-1024", KEPT, |probe| amqp091::durable(probe, 1024)),
    scenario("mqtt-qos0-16", &[Decode, Core, Encode, Settle], |probe| mqtt::qos0(probe, 16)),
    scenario("mqtt-qos0-1024", &[Decode, Core, Encode, Settle], |probe| mqtt::qos0(probe, 1024)),
    scenario("mqtt-qos1-16", &[Decode, Core, Confirm, Encode, DecodeAck, Settle], |probe| mqtt::qos1(probe, 16)),
    scenario("stomp-auto-ack-16", PASSED, |probe| stomp::auto_ack(probe, 16)),
    scenario("stomp-auto-ack-1024", PASSED, |probe| stomp::auto_ack(probe, 1024)),
    scenario("stomp-durable-1024", KEPT, |probe| stomp::durable(probe, 1024)),
    scenario("mqtt-to-amqp091-16", &[Encode], |probe| across::mqtt_to_amqp091(probe, 16)),
    scenario("amqp091-to-mqtt-16", &[Encode], |probe| across::amqp091_to_mqtt(probe, 16)),
    scenario("amqp091-to-stomp-16", &[Encode], |probe| across::amqp091_to_stomp(probe, 16)),
    scenario("sqs-signature", &[Verify], sqs::verify),
    scenario("sqs-16", &[Send, Receive, Delete], |probe| sqs::send_receive_delete(probe, 16)),
    scenario("sqs-1024", &[Send, Receive], |probe| sqs::send_receive_delete(probe, 1024)),
    scenario("core-route-kept", &[Route], core::route_kept),
    scenario("core-route-kept-of-many", &[Route], core::route_kept_of_many),
    scenario("core-route-new", &[Route], core::route_new),
    scenario("core-transient-16", &[Enqueue, Deliver], |probe| core::enqueue(probe, false, 16)),
    scenario("core-durable-1024", &[Enqueue, Durable, Deliver], |probe| core::enqueue(probe, true, 1024)),
    scenario("core-transient-settled-together", &[Settle], |probe| {
        core::deliver_and_settle(probe, false, Settling::Together);
    }),
    scenario("core-durable-settled-together", &[Settle], |probe| {
        core::deliver_and_settle(probe, true, Settling::Together);
    }),
    scenario("core-durable-settled-each", &[Settle], |probe| core::deliver_and_settle(probe, true, Settling::Each)),
    scenario("core-fan-out-to-100", &[Core], core::fan_out),
];
