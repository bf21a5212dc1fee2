//! Crossdock: one broker for AMQP, MQTT, STOMP, SQS and SNS.
