//! Rows of the hostile-input list that need the whole program; the others are tests of protocols/mqtt and the core, named after their
//! rows as well.

use std::path::Path;

use crate::support::{Broker, wait_for};
use crate::wire::mqtt::{Mqtt, connect_as};

/// So many sessions that never expire come from one peer.
const SESSIONS: usize = 2_000;
/// What one may cost on disk, with what is preallocated left aside.
const SESSION_BYTES_MAX: u64 = 2_048;

#[test]
fn mq_10_a_session_is_its_users() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    let user = |name: &str| {
        let permissions = r#"[{ vhost = "/", configure = ".*", write = ".*", read = ".*" }]"#;
        format!("[[users]]\nname = \"{name}\"\npassword = \"{name}\"\npermissions = {permissions}\n")
    };
    std::fs::write(&file, user("owner") + &user("thief")).expect("writes");
    let broker = Broker::start_with(&["--config", file.to_str().expect("UTF-8")], &[]);
    let code = |user: &str| Mqtt::ask(broker.port("mqtt"), &connect_as("mine", user, user)).expect("answers");
    let (mut owner, answer) = code("owner");
    assert_eq!(answer[1], 0);
    assert_eq!(code("thief").1[1], 5, "not authorized");
    owner.send(&[0xc0, 0]).expect("sends");
    assert_eq!(owner.packet().expect("is connected").0, 0xd0, "PINGRESP");
}

#[test]
fn mq_14_sessions_that_never_expire_are_cut_to_the_longest_time_and_cost_little_disk() {
    let broker = Broker::start(&["mqtt.session_expiry_ms_max=3000"]);
    let port = broker.port("mqtt");
    let before = used_bytes(&broker.folder().join("data"));
    let open = |number: usize| Mqtt::open_session(port, &format!("for-ever-{number}")).expect("opens").1;
    std::thread::scope(|scope| {
        for first in 0..8 {
            scope.spawn(move || (first..SESSIONS).step_by(8).filter(|number| open(*number)).count());
        }
    });
    let each = used_bytes(&broker.folder().join("data")).saturating_sub(before) / SESSIONS as u64;
    assert!(each < SESSION_BYTES_MAX, "{each} bytes for a session");
    // Whoever asks for one makes it anew: each is asked for once.
    let mut numbers = 0..SESSIONS;
    wait_for("a session to end", || numbers.next().filter(|number| !open(*number)));
}

/// Bytes in files that are not zero: segments are preallocated.
fn used_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let of = |path: std::path::PathBuf| {
        if path.is_dir() {
            return used_bytes(&path);
        }
        let data = std::fs::read(&path).unwrap_or_default();
        data.len() as u64 - data.iter().rev().take_while(|byte| **byte == 0).count() as u64
    };
    entries.map(of).sum()
}
