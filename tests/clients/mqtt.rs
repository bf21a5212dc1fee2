//! MQTT clients of other people's making.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{folder, is_there, java, python, python_program, run, run_against};
use crate::support::Broker;

#[test]
fn paho_3_1_1_and_5() {
    python("paho_client.py");
}

#[test]
fn mqtt_js() {
    let modules = folder().join("node/node_modules/mqtt");
    run("MQTT.js", &[modules], Command::new("node").arg(folder().join("node/mqtt.mjs")));
}

#[test]
fn aiomqtt() {
    python("aiomqtt_client.py");
}

#[test]
fn gmqtt() {
    python("gmqtt_client.py");
}

fn paho_and_hivemq() -> (PathBuf, Command) {
    java("java-mqtt", "mqtt.jar", "crossdock.Mqtt")
}

#[test]
fn paho_and_hivemq_for_java() {
    let (jar, mut command) = paho_and_hivemq();
    run("Paho and HiveMQ for Java", &[jar], &mut command);
}

fn paho_for_go() -> (PathBuf, Command) {
    let program = folder().join("go-mqtt/client");
    let command = Command::new(&program);
    (program, command)
}

#[test]
fn paho_mqtt_golang_and_paho_golang() {
    let (program, mut command) = paho_for_go();
    run("paho for Go", &[program], &mut command);
}

/// Debian's `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr`.
fn mosquitto() -> ([PathBuf; 1], Command) {
    ([PathBuf::from("/usr/bin/mosquitto_rr")], Command::new(folder().join("shell/mosquitto.sh")))
}

#[test]
fn mosquitto_pub_sub_and_rr() {
    let (needs, mut command) = mosquitto();
    run("mosquitto-clients", &needs, &mut command);
}

#[test]
fn through_tls() {
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &[]);
    for (name, needs, mut command) in those_with_tls() {
        if is_there(name, &needs) {
            run_against(&broker, name, command.env("CROSSDOCK_CA", certificates.path().join("ca.pem")));
        }
    }
}

/// Clients show a certificate, and need no name or password.
#[test]
fn through_mutual_tls() {
    let certificates = tempfile::tempdir().expect("a folder");
    let file = |name: &str| certificates.path().join(name);
    let authority = format!("tls.client_ca=\"{}\"", file("ca.pem").display());
    let settings = ["tls.client_certificates=\"required\"", &authority, "tls.certificate_login=\"common_name\""];
    let broker = Broker::start_with_tls(certificates.path(), &settings);
    for (name, needs, mut command) in those_with_tls() {
        if is_there(name, &needs) {
            command.env("CROSSDOCK_CA", file("ca.pem")).env("CROSSDOCK_CLIENT_CERT", file("client.pem"));
            run_against(&broker, name, command.env("CROSSDOCK_CLIENT_KEY", file("client.key")));
        }
    }
}

fn those_with_tls() -> [(&'static str, Vec<PathBuf>, Command); 6] {
    let (program, go) = paho_for_go();
    let (needs, debian) = mosquitto();
    let (interpreter, paho) = python_program("paho_client.py");
    let (_, aiomqtt) = python_program("aiomqtt_client.py");
    let (_, gmqtt) = python_program("gmqtt_client.py");
    let (jar, java) = paho_and_hivemq();
    [
        ("paho for Go", vec![program], go),
        ("mosquitto-clients", needs.to_vec(), debian),
        ("paho", vec![interpreter.clone()], paho),
        ("aiomqtt", vec![interpreter.clone()], aiomqtt),
        ("gmqtt", vec![interpreter], gmqtt),
        ("Paho and HiveMQ for Java", vec![jar], java),
    ]
}

/// The client libraries that are not there are named by `tests/run`.
#[test]
fn every_client_is_installed_by_the_script_that_runs_the_tests() {
    let script = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("run")).expect("reads");
    for project in ["java-mqtt", "go-mqtt"] {
        assert!(script.contains(project), "tests/run does not build {project}");
    }
}
