//! Files of Mosquitto: who may log in, which topics they may use, and changes while the broker runs.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Broker, wait_for};
use crate::wire::mqtt::{self, Mqtt};

/// The password `secret`, as mosquitto_passwd 2.0.11 hashed it.
const HASH: &str =
    "$7$101$6FCtrJUPK7FpZRxv$cQl4JkM1aGpANebRGd7HZ3GtKtlJKEvBqyzjcm7FNE2SYUtSNbcvWPmZFefRvFLqOJI0J8pW0XGR26f9QKA9Kg==";

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(passwords: &str, acl: &str) -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        files.write("passwd", passwords);
        files.write("acl", acl);
        files.write(
            "crossdock.toml",
            &format!(
                "anonymous_user = \"anonymous\"\n[mqtt]\nanonymous = true\n{}{}",
                files.line("password_file", "passwd"),
                files.line("acl_file", "acl")
            ),
        );
        files
    }

    fn line(&self, key: &str, name: &str) -> String {
        format!("{key} = \"{}\"\n", self.path(name))
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Replaces a file as editors and mounted secrets do it.
    fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).expect("writes");
        std::fs::rename(&new, self.path(name)).expect("replaces");
    }

    fn start(&self) -> Broker {
        Broker::start_with(&["--config", &self.path("crossdock.toml")], &[])
    }
}

/// The code of the CONNACK.
fn login(broker: &Broker, user: &str, password: &str) -> u8 {
    let connect = mqtt::connect_as(&format!("{user}-login"), user, password);
    let (_, answer) = Mqtt::ask(broker.port("mqtt"), &connect).expect("answers");
    answer[1]
}

/// The code of the SUBACK.
fn subscribe(client: &mut Mqtt, filter: &str) -> u8 {
    client.ask_to_subscribe(filter, 1).expect("answers")
}

#[test]
fn users_and_topics_are_those_of_the_files_and_change_with_them() {
    let acl = "user alice\ntopic readwrite rooms/#\ntopic deny rooms/secret\npattern write devices/%c/up\n";
    let files = Files::new(&format!("alice:{HASH}\ncarol:$7$broken\n"), &format!("topic read public\n{acl}"));
    let broker = files.start();
    assert_eq!((login(&broker, "alice", "secret"), login(&broker, "alice", "Secret")), (0, 4));
    assert_eq!((login(&broker, "carol", "secret"), login(&broker, "bob", "secret")), (4, 4));
    assert!(broker.log().contains("line 2: user 'carol' cannot log in"), "{}", broker.log());

    let mut alice = Mqtt::open_as(broker.port("mqtt"), "alice.1", "alice", "secret").expect("connects");
    assert_eq!((subscribe(&mut alice, "rooms/+"), subscribe(&mut alice, "devices/alice.1/up")), (1, 0x80));
    alice.send(&mqtt::publish("rooms/one", 7, b"first")).expect("sends");
    let mut heard = [alice.packet().expect("hears").0 & 0xf0, alice.packet().expect("hears").0 & 0xf0];
    heard.sort_unstable();
    assert_eq!(heard, [0x30, 0x40], "the message and its PUBACK");
    let mut nobody = Mqtt::open_anonymous(broker.port("mqtt"), "nobody").expect("connects");
    assert_eq!((subscribe(&mut nobody, "public"), subscribe(&mut nobody, "rooms/#")), (1, 0x80));

    files.write("passwd", &format!("bob:{HASH}\n"));
    files.write("acl", "user bob\ntopic devices/#\n");
    wait_for("bob to be let in", || (login(&broker, "bob", "secret") == 0).then_some(()));
    assert_eq!(login(&broker, "alice", "secret"), 4);
    assert!(alice.packet().is_err(), "who is deleted is disconnected");
    let mut bob = Mqtt::open_as(broker.port("mqtt"), "bob.1", "bob", "secret").expect("connects");
    assert_eq!((subscribe(&mut bob, "devices/x"), subscribe(&mut bob, "rooms/one")), (1, 0x80));
}

#[test]
fn mosquitto_s_own_programs_make_and_use_the_files() {
    let files = Files::new("", "user dora\ntopic rooms/#\n");
    let made = Command::new("mosquitto_passwd").args(["-b", &files.path("passwd"), "dora", "secret"]).status();
    assert!(made.expect("mosquitto-clients and mosquitto are installed").success());
    let broker = files.start();
    let port = broker.port("mqtt").to_string();
    let publish = |password: &str| {
        let login = ["-h", "127.0.0.1", "-p", &port, "-u", "dora", "-P", password, "-V", "5"];
        let message = ["-t", "rooms/1", "-m", "hello", "-q", "1", "-r"];
        Command::new("mosquitto_pub").args(login).args(message).stderr(Stdio::null()).status().expect("runs").success()
    };
    assert!(publish("secret") && !publish("wrong"));
    assert!(Path::new(&files.path("passwd")).exists());
}

#[test]
fn a_configuration_of_mosquitto_is_enough() {
    let files = Files::new(&format!("alice:{HASH}\n"), "topic read public/#\nuser alice\ntopic public/#\n");
    let conf = files.path("mosquitto.conf");
    let [passwords, acl] = [files.path("passwd"), files.path("acl")];
    files.write(
        "mosquitto.conf",
        &format!(
            "listener 1 127.0.0.1\nallow_anonymous true\npassword_file {passwords}\nacl_file {acl}\npersistence true\nlog_dest stdout\n"
        ),
    );
    // The port is the test's; everything else is the file's.
    let broker = Broker::start_with(&["--mosquitto-conf", &conf], &["listeners.mqtt.port=0"]);
    let log = broker.log();
    assert!(log.contains("mosquitto.conf:5:1: persistence: messages and sessions are always kept"), "{log}");
    assert!(log.contains("mosquitto.conf:6:1: log_dest: logs go to standard error"), "{log}");
    let mut alice = Mqtt::open_as(broker.port("mqtt"), "alice.1", "alice", "secret").expect("connects");
    let mut nobody = Mqtt::open_anonymous(broker.port("mqtt"), "nobody").expect("connects");
    assert_eq!((subscribe(&mut nobody, "public/#"), subscribe(&mut nobody, "private")), (1, 0x80));
    alice.send(&mqtt::publish("public/1", 7, b"hello")).expect("sends");
    assert_eq!(alice.puback().expect("hears"), 7);
    assert_eq!(nobody.packet().expect("hears").0 & 0xf0, 0x30);
}
