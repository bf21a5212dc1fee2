//! `$SYS`: Mosquitto's topics, for those who ask for them by name and may read them.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{Broker, wait_for};
use crate::wire::amqp::Amqp;
use crate::wire::mqtt::{self, Mqtt};

/// What mosquitto_sub hears within some seconds: topics and their last texts.
fn heard(broker: &Broker, filter: &str, seconds: &str) -> BTreeMap<String, String> {
    let port = broker.port("mqtt").to_string();
    let listen = ["-h", "127.0.0.1", "-p", &port, "-u", "guest", "-P", "guest", "-i", "listener"];
    let output = Command::new("mosquitto_sub").args(listen).args(["-t", filter, "-W", seconds, "-F", "%t=%p"]).output();
    let text = String::from_utf8(output.expect("mosquitto-clients is installed").stdout).expect("UTF-8");
    let split = |line: &str| line.split_once('=').map(|(topic, text)| (topic.to_owned(), text.to_owned()));
    text.lines().filter_map(split).collect()
}

#[test]
fn mosquitto_sub_sees_the_broker_at_work() {
    let broker = Broker::start(&["mqtt.sys_interval_ms=200"]);
    let mut client = Mqtt::open(broker.port("mqtt"), "worker").expect("connects");
    let (mut kept, _) = Mqtt::open_session(broker.port("mqtt"), "kept").expect("connects");
    kept.subscribe("a/#", 1).expect("subscribes");
    drop(kept);
    client.send(&mqtt::retained("a/b", 1, b"hello")).expect("sends");
    client.puback().expect("PUBACK");
    let number = |heard: &BTreeMap<String, String>, name: &str| {
        heard.get(&format!("$SYS/broker/{name}")).and_then(|text| text.parse::<f64>().ok())
    };
    let heard = wait_for("the figures", || {
        let heard = heard(&broker, "$SYS/#", "1");
        (number(&heard, "publish/messages/received") >= Some(1.0)).then_some(heard)
    });
    assert!(heard["$SYS/broker/version"].starts_with("crossdock version "), "{heard:?}");
    assert!(heard["$SYS/broker/uptime"].ends_with(" seconds"), "{heard:?}");
    for (name, value) in [
        ("clients/connected", 2.0),
        ("clients/total", 3.0),
        ("clients/disconnected", 1.0),
        ("clients/expired", 0.0),
        ("retained messages/count", 1.0),
        ("subscriptions/count", 2.0),
        ("publish/messages/received", 1.0),
        ("publish/messages/dropped", 0.0),
        ("publish/bytes/received", 5.0),
        ("messages/inflight", 0.0),
    ] {
        assert_eq!(number(&heard, name), Some(value), "{name}: {heard:?}");
    }
    for name in [
        "bytes/received",
        "bytes/sent",
        "load/bytes/received/1min",
        "load/sockets/1min",
        "load/connections/1min",
        "clients/maximum",
        "messages/stored",
        "heap/current size",
        "heap/maximum size",
    ] {
        assert!(number(&heard, name) > Some(0.0), "{name}: {heard:?}");
    }
    assert!(heard.keys().all(|topic| topic.starts_with("$SYS/broker/")), "{heard:?}");
}

#[test]
fn wildcards_at_the_start_do_not_mean_it_and_it_is_never_stored() {
    let mut broker = Broker::start(&["mqtt.sys_interval_ms=100"]);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("everything").expect("declares");
    amqp.bind("amq.topic", "everything", "#").expect("binds");
    for filter in ["#", "+/broker/#"] {
        assert_eq!(heard(&broker, filter, "1"), BTreeMap::new(), "{filter}");
    }
    assert_eq!(amqp.get("everything").expect("gets"), None);
    assert!(!heard(&broker, "$SYS/broker/uptime", "1").is_empty());
    drop(amqp);
    broker.terminate();
    broker.wait();
    let data = broker.folder().join("data");
    for file in walk(&data) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"$SYS.broker"), "{}", file.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn it_can_be_switched_off_and_is_read_by_permission_only() {
    let broker = Broker::start(&["mqtt.sys_interval_ms=0"]);
    assert_eq!(heard(&broker, "$SYS/#", "1"), BTreeMap::new());
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("acl"), "topic read rooms/#\n").expect("writes");
    let text = format!(
        "anonymous_user = \"nobody\"\n[mqtt]\nanonymous = true\nsys_interval_ms = 100\nacl_file = \"{}\"\n",
        file("acl").display()
    );
    std::fs::write(file("crossdock.toml"), text).expect("writes");
    let broker = Broker::start_with(&["--config", file("crossdock.toml").to_str().expect("UTF-8")], &[]);
    let mut nobody = Mqtt::open_anonymous(broker.port("mqtt"), "nobody").expect("connects");
    assert_eq!(nobody.ask_to_subscribe("$SYS/#", 0).expect("answers"), 0x80);
}
