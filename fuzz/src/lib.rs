//! What the fuzz targets share: connections to one broker in memory, and AMQP methods, MQTT packets and STOMP frames made of random bytes.

pub mod frames;
pub mod methods;
pub mod packets;
pub mod peer;
