//! Crossdock: one broker for AMQP, MQTT, STOMP, SQS and SNS.

pub mod auth;
pub mod cli;
pub mod config;
pub mod serve;
pub mod telemetry;
