//! Crossdock: one broker for AMQP, MQTT, STOMP, SQS and SNS.

pub mod auth;
pub mod config;

pub mod cli;
pub mod telemetry;
