//! The program as its user starts and stops it.

use std::process::Command;

use crate::support::{Broker, binary};
use crate::wire::amqp::Amqp;
use crate::wire::http::Http;

fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary()).args(arguments).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn check_config_names_all_errors_with_line_and_nearest_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    std::fs::write(&file, "[listeners.mqtt]\nprot = 1\n\n[limits]\nheartbeat_ms = \"soon\"\n").expect("writes");
    let (code, text) = run(&["check-config", file.to_str().expect("UTF-8")]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("crossdock.toml:2:1") && text.contains("did you mean `port`"), "{text}");
    assert!(text.contains("crossdock.toml:5:"), "{text}");
}

#[test]
fn check_config_warns_of_keys_that_act_for_nobody_yet() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    let key = "[[aws.keys]]\naccess_key_id = \"k\"\nsecret_access_key = \"s\"\nuser = \"nobody\"\n";
    std::fs::write(&file, key).expect("writes");
    let (code, text) = run(&["check-config", file.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("warning: ") && text.contains("crossdock.toml:4:8: aws.keys[0].user: \"nobody\""), "{text}");
}

#[test]
fn it_listens_is_ready_and_counts() {
    let broker = Broker::start(&[]);
    let mut http = Http::open(broker.port("management")).expect("connects");
    for path in ["/livez", "/readyz"] {
        assert_eq!(http.request(&format!("GET {path}"), "").expect("answers"), (200, "ok\n".to_owned()));
    }
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("q").expect("declares");
    let (status, metrics) = http.request("GET /metrics", "").expect("answers");
    assert_eq!(status, 200);
    assert!(metrics.contains("crossdock_connections{protocol=\"amqp091\"} 1"), "{metrics}");
}

#[test]
fn sigterm_says_goodbye_and_keeps_everything() {
    let mut broker = Broker::start(&[]);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("q").expect("declares");
    amqp.select_confirms().expect("selects");
    amqp.send(&crate::wire::amqp::publish("q", b"kept")).expect("sends");
    amqp.confirm().expect("confirms");
    broker.terminate();
    let goodbye = amqp.frame().expect("a goodbye");
    assert_eq!(goodbye.method(), (10, 50), "connection.close");
    drop(amqp);
    assert!(broker.wait().success());
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    assert_eq!(amqp.get("q").expect("gets").as_deref(), Some(&b"kept"[..]));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut broker = Broker::start(&["shutdown.drain_ms_max=600000"]);
    // A connection that never answers the goodbye holds the drain up.
    let _silent = Amqp::open(broker.port("amqp")).expect("connects");
    let _mute = crate::wire::connect(broker.port("mqtt")).expect("connects");
    broker.terminate();
    crate::support::wait_for("the drain to begin", || broker.log().contains("draining").then_some(()));
    broker.terminate();
    // A drain that came to its end would give 0.
    assert_eq!(broker.wait().code(), Some(1));
}

#[test]
fn without_a_configuration_there_is_one_generated_password_and_no_default_one() {
    let mut broker = Broker::start_with(&[], &[]);
    let log = broker.log();
    let password = log.split("has the password").nth(1).and_then(|rest| rest.split_whitespace().next());
    let password = password.expect("shown once").to_owned();
    assert!(login(&broker, "admin", &password), "the shown password works");
    assert!(!login(&broker, "guest", "guest") && !login(&broker, "admin", "admin"));
    broker.kill();
    broker.restart();
    assert!(login(&broker, "admin", &password), "and still works after a restart");
    assert_eq!(broker.log().matches("has the password").count(), 1);
}

fn login(broker: &Broker, user: &str, password: &str) -> bool {
    let frame = format!("CONNECT\naccept-version:1.2\nhost:/\nlogin:{user}\npasscode:{password}\n\n\0");
    let mut stream = crate::wire::connect(broker.port("stomp")).expect("connects");
    std::io::Write::write_all(&mut stream, frame.as_bytes()).expect("sends");
    let mut answer = [0; 9];
    std::io::Read::read_exact(&mut stream, &mut answer).expect("an answer");
    &answer == b"CONNECTED"
}

#[test]
fn two_brokers_do_not_share_a_data_directory() {
    let broker = Broker::start(&[]);
    let data = broker.folder().join("data");
    let output = Command::new(binary())
        .args(["--dev", "--set", "listeners.amqp.port=0", "--set", "listeners.mqtt.port=0"])
        .args(["--set", "listeners.stomp.port=0", "--set", "listeners.aws.port=0"])
        .args(["--set", "listeners.management.port=0", "--data-dir"])
        .arg(data)
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("in use"), "{text}");
}
