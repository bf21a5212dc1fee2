//! Messages that come in one protocol and go in another: what their conversion adds.

use super::{amqp091, mqtt, stomp};
use crate::conversation::Conversation;
use crate::probe::Probe;
use crate::world::World;

/// From MQTT to AMQP 0-9-1.
pub fn mqtt_to_amqp091(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = mqtt::connect(&world, "publisher");
    let consumer = amqp091::consumer(&world, true);
    let publishes = mqtt::publishes(0, body_bytes);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run(probe);
}

/// From AMQP 0-9-1 to MQTT.
pub fn amqp091_to_mqtt(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = amqp091::connect(&world);
    let consumer = mqtt::consumer(&world, 0);
    let publishes = amqp091::topic_publishes(body_bytes);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run(probe);
}

/// From AMQP 0-9-1 to STOMP.
pub fn amqp091_to_stomp(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = amqp091::connect(&world);
    let consumer = stomp::consumer(&world, "/topic/plant.*.temperature", "auto");
    let publishes = amqp091::topic_publishes(body_bytes);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run(probe);
}
