//! What the fuzz targets share: connections to one broker in memory, and AMQP methods, MQTT packets, STOMP frames and requests
//! of AWS made of random bytes.

pub mod caller;
pub mod calls;
pub mod frames;
pub mod methods;
pub mod packets;
pub mod peer;
