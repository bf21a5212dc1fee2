//! Debian's mosquitto plays the corpus as well: where it differs, and why, is in `mosquitto.txt` and in `docs/mqtt.md`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::corpus::{Chapter, Sequence};
use super::play::{Target, play};
use crate::support::wait_for;

pub const PROGRAM: &str = "/usr/sbin/mosquitto";
/// A packet that does not come costs so much; a busy machine makes more differences, which is why they are looked at twice.
const PATIENCE: Duration = Duration::from_millis(1_500);

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

struct Mosquitto {
    child: Child,
    port: u16,
    patience: Duration,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    fn start(patience: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n");
        std::fs::write(&file, text).expect("writes");
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("starts");
        wait_for("mosquitto", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port, patience, _folder: folder }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target for Mosquitto {
    fn port(&self) -> u16 {
        self.port
    }

    fn restart(&self) {}

    fn patience(&self) -> Duration {
        self.patience
    }
}

/// What mosquitto does otherwise without a reason that is known, and reasons without anything. Chapters with settings of our own, users
/// or crashes are left out. What differs on a busy machine is played again, alone and with more patience.
pub fn unexpected(chapters: &[Chapter], known: &[Difference]) -> Vec<String> {
    let is_plain = |chapter: &&Chapter| chapter.config.is_none() && chapter.settings.len() == 1;
    let sequences = chapters.iter().filter(is_plain).flat_map(|chapter| &chapter.sequences);
    let sequences: Vec<&Sequence> = sequences.filter(|sequence| !sequence.restarts()).collect();
    let differing = differing(&sequences);
    let (expected, odd): (Vec<_>, Vec<_>) = differing.into_iter().partition(|sequence| is_known(known, &sequence.id));
    let patient = Mosquitto::start(4 * PATIENCE);
    let mut found: Vec<String> = odd.into_iter().filter_map(|sequence| play(&patient, sequence).err()).collect();
    let is_idle = |row: &&Difference| !expected.iter().any(|sequence| row.matches(&sequence.id));
    found.extend(known.iter().filter(is_idle).map(|row| format!("not any more: {}", row.reason)));
    found
}

fn differing<'a>(sequences: &[&'a Sequence]) -> Vec<&'a Sequence> {
    let broker = Mosquitto::start(PATIENCE);
    std::thread::scope(|scope| {
        let share = |first: usize| {
            let mine = sequences.iter().skip(first).step_by(AT_ONCE);
            let broker = &broker;
            scope.spawn(move || mine.filter(|sequence| play(broker, sequence).is_err()).copied().collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..AT_ONCE).map(share).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("plays")).collect()
    })
}

fn is_known(known: &[Difference], id: &str) -> bool {
    known.iter().any(|row| row.matches(id))
}

const AT_ONCE: usize = 16;
