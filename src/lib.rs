//! Crossdock: one broker for AMQP, MQTT, STOMP, SQS and SNS.

pub mod administration;
pub mod auth;
pub mod bridges;
pub mod broker;
pub mod cli;
pub mod config;
pub mod definitions;
pub mod http;
pub mod mosquitto;
pub mod net;
pub mod serve;
pub mod telemetry;
