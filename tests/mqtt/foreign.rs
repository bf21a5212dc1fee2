//! Debian's mosquitto plays the corpus as well: where it differs, and why, is in `mosquitto.txt` and in `docs/mqtt.md`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::corpus::Chapter;
use super::play::{Target, play};
use crate::support::wait_for;

pub const PROGRAM: &str = "/usr/sbin/mosquitto";
/// A packet that does not come costs so much; a busy machine makes more differences, which is why they are looked at twice.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What begins so differs, for a reason.
pub struct Difference {
    pub ids: Vec<String>,
    pub reason: String,
}

/// Each line is the beginnings of identifiers, and the reason.
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
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n");
        std::fs::write(&file, text).expect("writes");
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("starts");
        wait_for("mosquitto", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port, _folder: folder }
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
        PATIENCE
    }
}

/// The sequences in which mosquitto does something else, each with what it does. Chapters with settings of our own, users or crashes are left out.
pub fn play_all(chapters: &[Chapter]) -> Vec<String> {
    let broker = Mosquitto::start();
    let is_plain = |chapter: &&Chapter| chapter.config.is_none() && chapter.settings.len() == 1;
    let sequences: Vec<_> = chapters.iter().filter(is_plain).flat_map(|chapter| &chapter.sequences).collect();
    let sequences: Vec<_> = sequences.into_iter().filter(|sequence| !sequence.restarts()).collect();
    std::thread::scope(|scope| {
        let share = |first: usize| {
            let (broker, sequences) = (&broker, &sequences);
            let play_one = |sequence: &&super::corpus::Sequence| play(broker, sequence).err();
            let errors = move || sequences.iter().skip(first).step_by(AT_ONCE).filter_map(play_one).collect::<Vec<_>>();
            scope.spawn(errors)
        };
        let threads: Vec<_> = (0..AT_ONCE).map(share).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("plays")).collect()
    })
}

const AT_ONCE: usize = 16;
