//! Clients of other people's making that speak WebSocket, and some at the one port.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use super::{folder, is_there, java, python_program, run_against};
use crate::support::Broker;

const LISTENERS: [&str; 6] = [
    "listeners.ws.enabled=true",
    "listeners.ws.port=0",
    "listeners.wss.enabled=true",
    "listeners.wss.port=0",
    "listeners.any.enabled=true",
    "listeners.any.port=0",
];

fn those_with_websocket() -> [(&'static str, PathBuf, Command); 5] {
    let mut node = Command::new("node");
    node.arg(folder().join("node/websocket.mjs"));
    let (interpreter, paho) = python_program("paho_client.py");
    let (_, aiomqtt) = python_program("aiomqtt_client.py");
    let (_, websockets) = python_program("websockets_client.py");
    let (jar, java) = java("java-mqtt", "mqtt.jar", "crossdock.Mqtt");
    [
        ("MQTT.js, stompjs and amqp-client.js", folder().join("node/node_modules/@stomp/stompjs"), node),
        ("paho", interpreter.clone(), paho),
        ("aiomqtt", interpreter.clone(), aiomqtt),
        ("websockets", interpreter, websockets),
        ("Paho and HiveMQ for Java", jar, java),
    ]
}

#[test]
fn over_websocket_plain_through_tls_and_at_the_one_port() {
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &LISTENERS);
    for (listener, is_tls) in [("ws", false), ("wss", true), ("any", false), ("any", true)] {
        for (name, needs, mut command) in those_with_websocket() {
            if !is_there(name, &[needs]) {
                continue;
            }
            command.env("CROSSDOCK_WEBSOCKET", "1").env("CROSSDOCK_LISTENER", listener);
            if is_tls {
                command.env("CROSSDOCK_CA", certificates.path().join("ca.pem"));
            }
            run_against(&broker, &format!("{name} at {listener}"), &mut command);
        }
    }
}

#[test]
fn paho_at_the_one_port_without_websocket() {
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &LISTENERS);
    for is_tls in [false, true] {
        let (interpreter, mut command) = python_program("paho_client.py");
        if !is_there("paho", &[interpreter]) {
            return;
        }
        if is_tls {
            command.env("CROSSDOCK_CA", certificates.path().join("ca.pem"));
        }
        run_against(&broker, "paho", command.env("CROSSDOCK_LISTENER", "any"));
    }
}

/// A page that may connect, and one of somebody else that may not.
#[test]
fn from_pages_of_a_browser() {
    let browser = PathBuf::from("/usr/bin/chromium");
    if !is_there("chromium", &[browser, folder().join("node/node_modules/@stomp/stompjs")]) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let origin = format!("websocket.origins=[\"http://127.0.0.1:{free}\"]");
    let broker = Broker::start(&[LISTENERS[0], LISTENERS[1], &origin]);
    let mut command = Command::new("node");
    command.arg(folder().join("node/browser.mjs")).env("CROSSDOCK_PAGE_PORT", free.to_string());
    run_against(&broker, "chromium", &mut command);
}
