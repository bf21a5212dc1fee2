//! Other brokers play the corpus as well: where they differ, and why, is in `mosquitto.txt` and `rumqttd.txt`, and in `docs/mqtt.md`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::corpus::{Chapter, Sequence};
use super::play::{Target, play};
use crate::support::wait_for;

/// Debian's mosquitto.
pub const MOSQUITTO: &str = "/usr/sbin/mosquitto";
/// A packet that does not come costs so much; a busy machine makes more differences, which is why they are looked at twice.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Sequences that are played at the same time: most of the time they wait for what does not come.
const AT_ONCE: usize = 48;
/// More than these are no matter of patience.
const AGAIN_MAX: usize = 100;

/// What is called or begins so differs, for a reason.
pub struct Difference {
    pub ids: Vec<String>,
    pub reason: String,
}

impl Difference {
    pub fn matches(&self, id: &str) -> bool {
        self.ids.iter().any(|one| if one.ends_with(['-', '/']) { id.starts_with(one.as_str()) } else { id == one })
    }
}

/// Each line is identifiers, or beginnings of identifiers that end with `-` or `/`, and the reason.
pub fn differences(file: &Path) -> Vec<Difference> {
    let text = std::fs::read_to_string(file).expect("reads");
    let parse = |line: &str| {
        let (ids, reason) = line.split_once(" | ").expect("identifiers | reason");
        Difference { ids: ids.split(' ').map(str::to_owned).collect(), reason: reason.to_owned() }
    };
    text.lines().map(parse).collect()
}

/// A broker that is not ours.
pub struct Foreign {
    port_v3: u16,
    port_v5: u16,
    keep_alive: Option<u16>,
    patience: Duration,
    /// rumqttd is a part of this process, and ends with it.
    _mosquitto: Option<Mosquitto>,
}

struct Mosquitto {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Foreign {
    pub fn mosquitto() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n");
        std::fs::write(&file, text).expect("writes");
        let mut command = Command::new(MOSQUITTO);
        command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("starts");
        let mosquitto = Some(Mosquitto { child, _folder: folder });
        Self { port_v3: port, port_v5: port, keep_alive: None, patience: PATIENCE, _mosquitto: mosquitto }.ready()
    }

    /// A library: it knows 3.1.1 and 5, each at a port of its own.
    pub fn rumqttd() -> Self {
        let (port_v3, port_v5) = (free_port(), free_port());
        let listener = |port: u16| {
            serde_json::json!({ "1": {
                "name": format!("{port}"), "listen": format!("127.0.0.1:{port}"), "next_connection_delay_ms": 0,
                "connections": {
                    "connection_timeout_ms": 60_000, "max_payload_size": 1 << 20, "max_inflight_count": 100,
                    "dynamic_filters": true
                }
            } })
        };
        let config = serde_json::json!({
            "id": 0,
            "router": {
                "id": 0, "max_connections": 10_000, "max_outgoing_packet_count": 200, "max_segment_size": 1 << 20,
                "max_segment_count": 10
            },
            "v4": listener(port_v3), "v5": listener(port_v5)
        });
        let config = serde_json::from_value(config).expect("a configuration of rumqttd");
        std::thread::spawn(|| rumqttd::Broker::new(config).start().expect("rumqttd runs"));
        // It refuses clients without a keep-alive.
        Self { port_v3, port_v5, keep_alive: Some(600), patience: PATIENCE, _mosquitto: None }.ready()
    }

    fn ready(self) -> Self {
        for port in [self.port_v3, self.port_v5] {
            wait_for("the foreign broker", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        }
        self
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

impl Target for Foreign {
    fn port(&self, version: u8) -> u16 {
        if version == 5 { self.port_v5 } else { self.port_v3 }
    }

    fn restart(&self) {}

    fn patience(&self) -> Duration {
        self.patience
    }

    fn keep_alive(&self) -> Option<u16> {
        self.keep_alive
    }
}

/// What a broker does otherwise without a reason that is known, and reasons without anything. Chapters with settings of our own, users
/// or crashes are left out, and versions that it does not know. What differs on a busy machine is played again, with more patience and a
/// broker that knows nothing of the first time.
pub fn unexpected(start: fn() -> Foreign, versions: &[u8], chapters: &[Chapter], known: &[Difference]) -> Vec<String> {
    let is_plain = |chapter: &&Chapter| chapter.config.is_none() && chapter.settings.len() == 1;
    let sequences = chapters.iter().filter(is_plain).flat_map(|chapter| &chapter.sequences);
    let sequences: Vec<&Sequence> =
        sequences.filter(|sequence| !sequence.restarts() && versions.contains(&sequence.version)).collect();
    let differing = differing(&start(), &sequences);
    let is_known = |sequence: &Sequence| known.iter().any(|row| row.matches(&sequence.id));
    let (expected, mut odd): (Vec<_>, Vec<_>) = differing.into_iter().partition(|(sequence, _)| is_known(sequence));
    if odd.len() <= AGAIN_MAX {
        let patient = Foreign { patience: 4 * PATIENCE, ..start() };
        odd = self::differing(&patient, &odd.into_iter().map(|(sequence, _)| sequence).collect::<Vec<_>>());
    }
    let mut found: Vec<String> = odd.into_iter().map(|(_, error)| error).collect();
    let is_idle = |row: &&Difference| !expected.iter().any(|(sequence, _)| row.matches(&sequence.id));
    found.extend(known.iter().filter(is_idle).map(|row| format!("not any more: {}", row.reason)));
    found
}

fn differing<'a>(broker: &Foreign, sequences: &[&'a Sequence]) -> Vec<(&'a Sequence, String)> {
    std::thread::scope(|scope| {
        let share = |first: usize| {
            let mine = sequences.iter().skip(first).step_by(AT_ONCE);
            let played = mine.filter_map(|sequence| play(broker, sequence).err().map(|error| (*sequence, error)));
            scope.spawn(move || played.collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..AT_ONCE).map(share).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("plays")).collect()
    })
}
