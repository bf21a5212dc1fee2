//! A broker process for a test.

pub mod control_group;
pub mod forgetful_disk;
pub mod load;
pub mod small_disk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before a test gives up: generous, since a busy machine is not a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test: beside the test's own executable.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let folder = own.parent().and_then(Path::parent).expect("target/debug/deps/all-…");
    let binary = folder.join("crossdock");
    assert!(binary.exists(), "{} is missing: build the workspace first (tests/run does)", binary.display());
    binary
}

/// A running broker. Killed when dropped; its log is shown if the test failed.
pub struct Broker {
    child: Child,
    folder: TempDir,
    /// What starts the program; empty if nothing does but the test.
    launcher: Vec<String>,
    arguments: Vec<String>,
    ports: BTreeMap<String, u16>,
}

impl Broker {
    /// Starts in development mode on free ports, with a data directory of its own.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_with(&["--dev"], settings)
    }

    /// Starts in development mode with its data in a given folder.
    pub fn start_in(data: &Path, settings: &[&str]) -> Self {
        let data = data.to_str().expect("UTF-8");
        Self::start_with(&["--dev", "--data-dir", data], settings)
    }

    /// Starts in development mode with TLS listeners beside the plain ones, and certificates of its own in `certificates`.
    pub fn start_with_tls(certificates: &Path, settings: &[&str]) -> Self {
        Self::start_with_tls_as(&["--dev"], certificates, settings)
    }

    /// The same with other arguments than those of development mode.
    pub fn start_with_tls_as(arguments: &[&str], certificates: &Path, settings: &[&str]) -> Self {
        let made = Command::new(binary()).arg("dev-certs").arg(certificates).stdout(Stdio::null()).status();
        assert!(made.expect("runs").success());
        let file = |name: &str| certificates.join(name).display().to_string();
        let mut all = vec![
            format!("tls.certificate=\"{}\"", file("server.pem")),
            format!("tls.private_key=\"{}\"", file("server.key")),
            "listeners.amqps.port=0".to_owned(),
            "listeners.mqtts.port=0".to_owned(),
            "listeners.stomps.port=0".to_owned(),
        ];
        all.extend(settings.iter().map(|&setting| setting.to_owned()));
        Self::start_with(arguments, &all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts with one user, `orders` with the password `secret`, who may use vhost `/` only, and an AWS key of his.
    pub fn start_guarded() -> (Self, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("crossdock.toml");
        let text = "vhosts = [\"/\", \"other\"]\n\
            [limits]\nmessage_bytes_max = \"64KiB\"\n\
            [[users]]\nname = \"orders\"\npassword = \"secret\"\n\
            permissions = [{ vhost = \"/\", configure = \".*\", write = \"^(orders|amq.default)\", read = \".*\" }]\n\
            [[aws.keys]]\naccess_key_id = \"AKIDEXAMPLE\"\nsecret_access_key = \"secret\"\nuser = \"orders\"\n";
        std::fs::write(&file, text).expect("writes");
        (Self::start_with(&["--config", file.to_str().expect("UTF-8")], &[]), folder)
    }

    /// Starts with one user who may do everything, and an AWS key of his: signatures are checked.
    pub fn start_signed(access_key: &str, secret: &str) -> (Self, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("crossdock.toml");
        let text = format!(
            "vhosts = [\"/\"]\n[[users]]\nname = \"orders\"\npassword = \"secret\"\n\
             permissions = [{{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }}]\n\
             [aws]\nregion = \"eu-west-1\"\n[[aws.keys]]\naccess_key_id = \"{access_key}\"\nsecret_access_key = \"{secret}\"\nuser = \"orders\"\n"
        );
        std::fs::write(&file, text).expect("writes");
        (Self::start_with(&["--config", file.to_str().expect("UTF-8")], &[]), folder)
    }

    /// Starts with these arguments, and `--set` for each setting.
    pub fn start_with(arguments: &[&str], settings: &[&str]) -> Self {
        Self::start_by(Vec::new(), arguments, settings)
    }

    /// The same by another program that starts it.
    pub fn start_by(launcher: Vec<String>, arguments: &[&str], settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        all.extend(settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        let child = spawn(folder.path(), &launcher, &all);
        let mut broker = Self { child, folder, launcher, arguments: all, ports: BTreeMap::new() };
        broker.wait_until_up();
        broker
    }

    /// The port of a listener.
    pub fn port(&self, listener: &str) -> u16 {
        *self.ports.get(listener).unwrap_or_else(|| panic!("{listener} does not listen: {:?}", self.ports))
    }

    /// All listeners and their ports.
    pub fn ports(&self) -> &BTreeMap<String, u16> {
        &self.ports
    }

    /// The folder of this broker; its data is in `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything it has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The value of a metric, named with its labels.
    pub fn metric(&self, name: &str) -> u64 {
        let mut http = crate::wire::http::Http::open(self.port("management")).expect("connects");
        let (_, page) = http.request("GET /metrics", "").expect("answers");
        let found = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{name}:\n{page}")).parse().expect("a number")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("waits");
    }

    /// Starts again on the same data.
    pub fn restart(&mut self) {
        self.begin_restart();
        self.wait_until_up();
    }

    /// The same without waiting until it listens.
    pub fn begin_restart(&mut self) {
        self.child = spawn(self.folder.path(), &self.launcher, &self.arguments);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("signals");
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the broker to end", || self.child.try_wait().expect("waits"))
    }

    /// Still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("waits").is_none()
    }

    fn wait_until_up(&mut self) {
        let file = self.folder.path().join("ports.json");
        self.ports = wait_for("the broker to listen", || {
            if let Some(status) = self.child.try_wait().expect("waits") {
                panic!("the broker ended ({status}):\n{}", self.log());
            }
            serde_json::from_slice(&std::fs::read(&file).ok()?).ok()
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the broker's log ---\n{}", self.log());
        }
    }
}

fn spawn(folder: &Path, launcher: &[String], arguments: &[String]) -> Child {
    let _ = std::fs::remove_file(folder.join("ports.json"));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = match launcher {
        [] => Command::new(binary()),
        [program, others @ ..] => {
            let mut command = Command::new(program);
            command.args(others).arg(binary());
            command
        }
    };
    command.args(arguments).arg("--ports-file").arg(folder.join("ports.json"));
    if !arguments.iter().any(|argument| argument == "--data-dir") {
        command.arg("--data-dir").arg(folder.join("data"));
    }
    for listener in ["amqp", "mqtt", "stomp", "aws", "management"] {
        command.arg("--set").arg(format!("listeners.{listener}.port=0"));
    }
    command.current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null());
    command.stdout(log.try_clone().expect("clones")).stderr(log).spawn().expect("spawns")
}

/// Asks again and again, until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets other processes work. Only for asking again, never for hoping that something has happened.
#[allow(clippy::disallowed_methods)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
