//! What the fuzz targets share: connections to one broker in memory, and AMQP methods made of random bytes.

pub mod methods;
pub mod packets;
pub mod peer;
