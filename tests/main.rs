//! Tests of the whole program. They spawn the binary beside their own executable, so build the workspace first:
//! `tests/run` does, and installs what the client libraries need.

mod administration;
mod alarms;
mod architecture;
mod backlog;
mod ceiling;
mod certificates;
mod changes;
mod clients;
mod damage;
mod disk;
mod encryption;
mod errors;
mod exactly_once;
mod fifo;
mod golden;
mod hostile;
mod kill;
mod ledger;
mod limits;
mod management;
mod mosquitto;
mod moving;
mod mqtt;
mod power;
mod program;
mod proxy;
mod restart;
mod scram;
mod store;
mod streams;
mod support;
mod sys;
mod websocket;
mod wire;
