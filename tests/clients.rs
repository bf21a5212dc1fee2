//! Real clients, written by other people. Each program in `tests/clients` gets the ports as JSON in `CROSSDOCK_PORTS`, uses
//! its client as its users do, and ends with 0.

mod amqp;
mod aws;
mod lapin;
mod lapin_extensions;
mod mqtt;
mod rumqttc;
mod sns;
mod websocket;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Broker;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Runs a client program against a new broker.
pub fn run(name: &str, needs: &[PathBuf], program: &mut Command) {
    if is_there(name, needs) {
        run_against(&Broker::start(&[]), name, program);
    }
}

/// A toolchain or library that is not there is a loud skip, and a failure in CI: `tests/run` installs all of them.
pub fn is_there(name: &str, needs: &[PathBuf]) -> bool {
    let Some(missing) = needs.iter().find(|path| !path.exists()) else { return true };
    let message = format!("{name}: {} is missing; tests/run installs it", missing.display());
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("SKIPPED {message}");
    false
}

pub fn run_against(broker: &Broker, name: &str, program: &mut Command) {
    let ports = serde_json::to_string(broker.ports()).expect("JSON");
    let output = program.env("CROSSDOCK_PORTS", ports).output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{text}", output.status);
}

pub fn python_program(script: &str) -> (PathBuf, Command) {
    let interpreter = folder().join("python/.venv/bin/python");
    let mut command = Command::new(&interpreter);
    command.arg(folder().join("python").join(script));
    (interpreter, command)
}

/// A Java program with the libraries that Maven has put beside it.
pub fn java(project: &str, jar: &str, main_class: &str) -> (PathBuf, Command) {
    let target = folder().join(project).join("target");
    let jar = target.join(jar);
    let mut command = Command::new("java");
    command.arg("-cp").arg(format!("{}:{}/lib/*", jar.display(), target.display())).arg(main_class);
    (jar, command)
}

pub fn python(script: &str) {
    let (interpreter, mut command) = python_program(script);
    run(script, &[interpreter], &mut command);
}

#[test]
fn every_protocol_through_tls() {
    let (interpreter, mut command) = python_program("tls_client.py");
    if !is_there("tls_client.py", &[interpreter]) {
        return;
    }
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &[]);
    run_against(&broker, "tls_client.py", command.env("CROSSDOCK_CA", certificates.path().join("ca.pem")));
}

#[test]
fn a_client_certificate_logs_its_user_in_through_external() {
    for (user, is_known) in [("crossdock-client", "1"), ("somebody-else", "0")] {
        let (interpreter, mut command) = python_program("external_client.py");
        if !is_there("external_client.py", &[interpreter]) {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (file, certificates) = (folder.path().join("crossdock.toml"), folder.path().join("certificates"));
        let text = format!(
            "vhosts = [\"/\"]\n[[users]]\nname = \"{user}\"\npassword = \"secret\"\n\
             permissions = [{{ vhost = \"/\", configure = \"^external$\", write = \".*\", read = \".*\" }}]\n"
        );
        std::fs::write(&file, text).expect("writes");
        let authority = format!("tls.client_ca=\"{}\"", certificates.join("ca.pem").display());
        let settings =
            [authority.as_str(), "tls.client_certificates=\"optional\"", "tls.certificate_login=\"common_name\""];
        let arguments = ["--config", file.to_str().expect("UTF-8")];
        let broker = Broker::start_with_tls_as(&arguments, &certificates, &settings);
        command.env("CROSSDOCK_CERTIFICATES", &certificates).env("CROSSDOCK_USER_IS_KNOWN", is_known);
        run_against(&broker, "external_client.py", &mut command);
    }
}

#[test]
fn paho_keeps_qos_2_over_kills_of_the_broker() {
    python_over_kills("paho_restart.py");
}

#[test]
fn paho_for_java_keeps_qos_2_over_kills_of_the_broker() {
    let (jar, command) = java("java-mqtt", "mqtt.jar", "crossdock.Restart");
    over_kills("Paho for Java", jar, command, "mqtt");
}

#[test]
fn a_stream_is_whole_after_a_kill() {
    python_over_kills("stream_restart.py");
}

#[test]
fn messages_that_are_moved_are_whole_after_kills() {
    python_over_kills("sqs_moves_restart.py");
}

#[test]
fn a_filter_policy_holds_after_a_kill() {
    python_over_kills("sqs_filters_restart.py");
}

/// Runs a program that says "kill" when it likes, and is told the port of its protocol after that.
fn python_over_kills(script: &str) {
    let (interpreter, command) = python_program(script);
    let protocol = match script.split_once('_') {
        Some(("paho", _)) => "mqtt",
        Some(("sqs" | "sns", _)) => "aws",
        _ => "amqp",
    };
    over_kills(script, interpreter, command, protocol);
}

fn over_kills(name: &str, needs: PathBuf, mut command: Command, protocol: &str) {
    if !is_there(name, &[needs]) {
        return;
    }
    let mut broker = Broker::start(&[]);
    let ports = serde_json::to_string(broker.ports()).expect("JSON");
    let mut program =
        command.env("CROSSDOCK_PORTS", ports).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut answers = program.stdin.take().expect("a pipe");
    let requests = BufReader::new(program.stdout.take().expect("a pipe"));
    for request in requests.lines() {
        assert_eq!(request.expect("UTF-8"), "kill");
        broker.kill();
        broker.restart();
        writeln!(answers, "{}", broker.port(protocol)).expect("it waits for the port");
    }
    assert!(program.wait().expect("ends").success());
}

#[test]
fn every_behaviour_is_rabbitmqs_or_a_known_difference() {
    python("rabbit_behaviours.py");
}

#[test]
fn known_differences_to_rabbitmq_are_documented() {
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("is there");
    let differences = read(folder().join("python/rabbit_differences.json"));
    let page = read(folder().join("../../docs/amqp-0-9-1.md"));
    let differences: serde_json::Value = serde_json::from_str(&differences).expect("JSON");
    for (name, difference) in differences.as_object().expect("names") {
        let row = format!("| `{name}` | {} |", difference["reason"].as_str().expect("text"));
        assert!(page.contains(&row), "docs/amqp-0-9-1.md does not say: {row}");
    }
}

#[test]
fn stomp_py() {
    python("stomp_client.py");
}

#[test]
fn stomp_py_as_with_activemq() {
    python("stomp_activemq.py");
}

#[test]
fn activemqs_stomp_client() {
    let (jar, mut command) = java("java-stomp", "stomp.jar", "crossdock.ActiveMq");
    run("ActiveMQ's StompConnection", &[jar], &mut command);
}

#[test]
fn springs_stomp_broker_relay() {
    let (jar, mut command) = java("java-stomp", "stomp.jar", "crossdock.Relay");
    run("Spring's broker relay", &[jar], &mut command);
}

#[test]
fn go_stomp() {
    let program = folder().join("go-stomp/client");
    run("go-stomp", std::slice::from_ref(&program), &mut Command::new(&program));
}

#[test]
fn questions_and_answers_across_protocols() {
    python("replies_client.py");
}

#[test]
fn every_stomp_behaviour_is_rabbitmqs_or_a_known_difference() {
    python("stomp_behaviours.py");
}

#[test]
fn known_differences_to_rabbitmqs_stomp_are_documented() {
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("is there");
    let differences = read(folder().join("python/stomp_differences.json"));
    let page = read(folder().join("../../docs/stomp.md"));
    let differences: serde_json::Value = serde_json::from_str(&differences).expect("JSON");
    for (name, difference) in differences.as_object().expect("names") {
        let row = format!("| `{name}` | {} |", difference["reason"].as_str().expect("text"));
        assert!(page.contains(&row), "docs/stomp.md does not say: {row}");
    }
}

#[test]
fn every_door_to_every_door() {
    python("fidelity.py");
}
