//! What an operator declares: imported, in effect, and there after `kill -9`. Refused logins, each in RabbitMQ's words.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Broker, binary};
use crate::wire::amqp::{self, Amqp, Arguments};
use crate::wire::{connect, mqtt};

/// A folder with a data directory and a definitions file.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(definitions: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("definitions.json"), definitions).expect("writes");
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run_import(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(["import", "rabbitmq"]).arg(self.folder.path().join("definitions.json"));
        command.arg("--data-dir").arg(self.data()).args(arguments).output().expect("runs")
    }

    fn import(&self, arguments: &[&str]) -> String {
        let output = self.run_import(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Starts a broker on the imported data, which nobody but its users can log in to.
    fn start(&self, settings: &[&str]) -> Broker {
        Broker::start_with(&["--data-dir", self.data().to_str().expect("UTF-8")], settings)
    }
}

fn fixture(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions").join(name);
    std::fs::read_to_string(file).expect("a fixture")
}

/// A login to a vhost, up to `connection.open`.
fn login(mechanism: &str, response: &str, vhost: &str) -> Vec<u8> {
    let capability = b"\x1cauthentication_failure_closet\x01";
    let mut properties = b"\x0ccapabilitiesF".to_vec();
    properties.extend(u32::try_from(capability.len()).expect("short").to_be_bytes());
    properties.extend(capability);
    let mut start_ok = Arguments::default().long(u32::try_from(properties.len()).expect("short"));
    start_ok.0.extend(properties);
    let mut start_ok = start_ok.text(mechanism).long(u32::try_from(response.len()).expect("short"));
    start_ok.0.extend(response.as_bytes());
    let mut bytes = b"AMQP\0\0\x09\x01".to_vec();
    bytes.extend(amqp::method(0, 10, 11, start_ok.text("en_US")));
    bytes.extend(amqp::method(0, 10, 31, Arguments::default().short(0).long(131_072).short(0)));
    bytes.extend(amqp::method(0, 10, 40, Arguments::default().text(vhost).octet(0).octet(0)));
    bytes
}

fn plain(user: &str, password: &str, vhost: &str) -> Vec<u8> {
    login("PLAIN", &format!("\0{user}\0{password}"), vhost)
}

fn open(broker: &Broker, user: &str, password: &str, vhost: &str) -> Amqp {
    Amqp::open_as(broker.port("amqp"), &plain(user, password, vhost)).expect("opens")
}

/// The code and text with which the broker closes the connection after these bytes.
fn refused(broker: &Broker, bytes: &[u8]) -> String {
    let mut stream = connect(broker.port("amqp")).expect("connects");
    stream.write_all(bytes).expect("sends");
    stream.write_all(&amqp::method(0, 10, 51, Arguments::default())).expect("sends");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let close = [0, 10, 0, 50];
    let at = answer.windows(4).position(|window| window == close).expect("connection.close") + 4;
    let code = u16::from_be_bytes([answer[at], answer[at + 1]]);
    let length = usize::from(answer[at + 2]);
    format!("{code} {}", String::from_utf8_lossy(&answer[at + 3..at + 3 + length]))
}

/// The same for the channel on which something is asked.
fn closes_channel(client: &mut Amqp, bytes: &[u8]) -> String {
    client.send(bytes).expect("sends");
    let frame = client.frame().expect("a frame");
    assert_eq!(frame.method(), (20, 40), "channel.close");
    let code = u16::from_be_bytes([frame.payload[4], frame.payload[5]]);
    let length = usize::from(frame.payload[6]);
    format!("{code} {}", String::from_utf8_lossy(&frame.payload[7..7 + length]))
}

fn declare(queue: &str) -> Vec<u8> {
    amqp::method(1, 50, 10, Arguments::default().short(0).text(queue).octet(0b10).long(0))
}

#[test]
fn rabbitmqs_definitions_are_imported_work_and_survive_kill_9() {
    let site = Site::new(&fixture("rabbitmq-3.10.json"));
    let plan = site.import(&[]);
    assert!(plan.ends_with("This is a plan: nothing was changed. Add --apply to carry it out.\n"), "{plan}");
    assert!(!site.data().exists(), "a plan leaves no trace");
    let done = site.import(&["--apply"]);
    assert!(done.contains("policies          mirror in shop: without effect here: ha-mode, ha-sync-mode"), "{done}");
    let again = site.import(&["--apply"]);
    assert!(
        again.contains("queues                   1        0              9        0"),
        "one was transient: {again}"
    );
    let mut broker = site.start(&[]);
    let mut hello = connect(broker.port("amqp")).expect("connects");
    hello.write_all(b"AMQP\0\0\x09\x01").expect("sends");
    let mut start = [0; 400];
    hello.read_exact(&mut start).expect("connection.start");
    assert!(String::from_utf8_lossy(&start).contains("shop@example"), "the name that was imported");
    for _ in 0..3 {
        let mut client = open(&broker, "orders", "secret-orders", "shop");
        // `orders` is bound to `events` with `orders.#`, which the user may publish to with his own name only.
        client.send(&published("events", "orders.new")).expect("sends");
        crate::support::wait_for("the message", || client.get("orders").expect("gets"));
        let text = closes_channel(&mut client, &published("events", "other.new"));
        assert_eq!(
            text,
            "403 ACCESS_REFUSED - write access to topic 'other.new' in exchange 'events' in vhost 'shop' refused for user 'orders'"
        );
        assert!(broker.log().contains("kept as an argon2id hash"), "RabbitMQ's hash was replaced");
        broker.kill();
        broker.restart();
    }
    // Nobody is told of it, so each kill may come before it is durable. After a stop it is.
    drop(open(&broker, "orders", "secret-orders", "shop"));
    broker.terminate();
    assert!(broker.wait().success());
    let replaced = |broker: &Broker| broker.log().matches("kept as an argon2id hash").count();
    let before = replaced(&broker);
    broker.restart();
    drop(open(&broker, "orders", "secret-orders", "shop"));
    assert_eq!(replaced(&broker), before, "not at every login");
    let text = refused(&broker, &plain("orders", "wrong", "shop"));
    assert!(text.starts_with("403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."), "{text}");
    let busy = site.run_import(&["--apply"]);
    assert!(!busy.status.success() && String::from_utf8_lossy(&busy.stderr).contains("/api/definitions"));
}

/// A message without a body.
fn published(exchange: &str, key: &str) -> Vec<u8> {
    let mut bytes = amqp::method(1, 60, 40, Arguments::default().short(0).text(exchange).text(key).octet(0));
    bytes.extend(amqp::frame(2, 1, &Arguments::default().short(60).short(0).long_long(0).short(0).0));
    bytes
}

const LIMITS: &str = r#"{
    "vhosts": [{"name": "full", "metadata": {"description": "", "tags": [], "default_queue_type": "classic"}},
               {"name": "closed"}],
    "users": [{"name": "u", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "tags": "",
               "limits": {"max-connections": 1, "max-channels": 2}},
              {"name": "guest", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "tags": ["monitoring"]}],
    "permissions": [{"user": "u", "vhost": "full", "configure": ".*", "write": ".*", "read": ".*"},
                    {"user": "u", "vhost": "closed", "configure": ".*", "write": ".*", "read": ".*"},
                    {"user": "guest", "vhost": "full", "configure": ".*", "write": ".*", "read": ".*"}],
    "parameters": [{"component": "vhost-limits", "vhost": "full", "name": "limits", "value": {"max-queues": 1}},
                   {"component": "vhost-limits", "vhost": "closed", "name": "limits", "value": {"max-connections": 0}},
                   {"component": "operator_policy", "vhost": "full", "name": "short",
                    "value": {"pattern": "^q", "definition": {"max-length": 2}, "priority": 0, "apply-to": "queues"}}]
}"#;

#[test]
fn limits_and_policies_hold_and_are_told_in_rabbitmqs_words() {
    let site = Site::new(LIMITS);
    site.import(&["--apply"]);
    let broker = site.start(&[]);
    assert_eq!(
        refused(&broker, &plain("u", "test12", "closed")),
        "530 NOT_ALLOWED - access to vhost 'closed' refused for user 'u': connection limit (0) is reached"
    );
    let mut client = open(&broker, "u", "test12", "full");
    assert_eq!(
        refused(&broker, &plain("u", "test12", "full")),
        "530 NOT_ALLOWED - connection refused for user 'u': user connection limit (1) is reached"
    );
    client.declare("q").expect("declares");
    client.select_confirms().expect("selects");
    for number in 1..=5 {
        client.send(&amqp::publish("q", &[number])).expect("sends");
        client.confirm().expect("confirmed");
    }
    let kept = [(); 3].map(|()| client.get("q").expect("gets"));
    assert_eq!(kept, [Some(vec![4]), Some(vec![5]), None], "the operator's policy");
    assert_eq!(
        closes_channel(&mut client, &declare("another")),
        "406 PRECONDITION_FAILED - cannot declare queue 'another': queue limit in vhost 'full' (1) is reached"
    );
    let channel = |number| amqp::method(number, 20, 10, Arguments::default().octet(0));
    client
        .send(&[amqp::method(1, 20, 41, Arguments::default()), channel(2), channel(3), channel(4)].concat())
        .expect("sends");
    let answer = crate::support::wait_for("the close", || {
        let frame = client.frame().expect("a frame");
        (frame.kind == 1 && frame.method() == (10, 50)).then_some(frame.payload)
    });
    assert!(String::from_utf8_lossy(&answer).contains(
        "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of (2)"
    ));
}

#[test]
fn some_users_come_from_loopback_only_and_nobody_is_somebody_if_the_configuration_says_so() {
    let site = Site::new(LIMITS);
    site.import(&["--apply"]);
    let broker = site.start(&["anonymous_user=guest", "listeners.amqp.bind=0.0.0.0"]);
    drop(open(&broker, "guest", "test12", "full"));
    let anonymous = login("ANONYMOUS", "", "full");
    drop(Amqp::open_as(broker.port("amqp"), &anonymous).expect("opens"));
    if let Some(own) = own_address() {
        let mut stream = std::net::TcpStream::connect((own, broker.port("amqp"))).expect("connects");
        stream.write_all(&plain("guest", "test12", "full")).expect("sends");
        stream.write_all(&amqp::method(0, 10, 51, Arguments::default())).expect("sends");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(String::from_utf8_lossy(&answer).contains("ACCESS_REFUSED - Login was refused"));
        assert!(broker.log().contains("can only connect via localhost"));
    }
    let mut stream = connect(broker.port("mqtt")).expect("connects");
    stream.write_all(&mqtt::connect_packet("nobody")).expect("sends");
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).expect("CONNACK");
    drop(broker);
    let broker = site.start(&[]);
    let text = refused(&broker, &anonymous);
    assert_eq!(text, "503 COMMAND_INVALID - unknown authentication mechanism 'ANONYMOUS'");
}

/// An address of this machine that is not loopback, if it has one.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the system only chooses the address that it would send from.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

#[test]
fn the_configurations_own_are_told_apart_when_importing() {
    let site = Site::new(LIMITS);
    let config = site.folder.path().join("crossdock.toml");
    let text = "[[users]]\nname = \"u\"\npassword = \"of the file\"\n[[policies]]\nname = \"own\"\npattern = \"a\"\n\
                definition = { max-length = 5 }\n";
    std::fs::write(&config, text).expect("writes");
    let plan = site.import(&["--config", config.to_str().expect("UTF-8")]);
    assert!(plan.contains("users             u: the configuration file declares it otherwise"), "{plan}");
}
