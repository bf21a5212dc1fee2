//! Listeners, and who may come in through them. Mosquitto has any number, here there is one without and one with TLS, and the same of WebSocket.

use std::collections::BTreeMap;

use super::super::problem::Problems;
use super::MosquittoConf;
use super::convert::boolean;
use super::lines::Line;

/// The port that a listener has when nobody says another.
const PORT: &str = "1883";
/// Who clients are that show no name.
const ANONYMOUS: &str = "anonymous";

/// What was read of listeners.
#[derive(Default)]
pub(super) struct Listeners {
    /// The one that stands for `port` and `bind_address`, and for what is said before the first `listener`.
    first: Block,
    others: Vec<Block>,
    anonymous: Vec<(Line, bool)>,
}

/// What is said of one listener.
#[derive(Default)]
struct Block {
    /// `listener` or `port`; `None` if nobody asked for it.
    line: Option<Line>,
    lines: Vec<Line>,
}

impl Block {
    fn last(&self, directive: &str) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.directive == directive)
    }

    fn is_set(&self, directive: &str) -> bool {
        self.last(directive).is_some_and(|line| matches!(boolean(&line.value), Ok(Some(value)) if value == "true"))
    }

    /// The key below `listeners`; `None` if there is no such listener.
    fn kind(&self) -> Option<&'static str> {
        match (self.last("protocol").map_or("mqtt", |line| line.value.as_str()), self.has_tls()) {
            ("mqtt", false) => Some("mqtt"),
            ("mqtt", true) => Some("mqtts"),
            ("websockets", false) => Some("ws"),
            ("websockets", true) => Some("wss"),
            _ => None,
        }
    }

    fn has_tls(&self) -> bool {
        self.last("certfile").is_some()
    }
}

impl Listeners {
    pub(super) fn take(&mut self, line: &Line, problems: &mut Problems) {
        let is_switch = line.directive.starts_with("use_") || line.directive == "require_certificate";
        if (is_switch || matches!(line.directive.as_str(), "allow_anonymous" | "per_listener_settings"))
            && let Err(expected) = boolean(&line.value)
        {
            return problems.push(line.origin.clone(), &*line.directive, format!("expected {expected}"));
        }
        match line.directive.as_str() {
            "listener" => self.others.push(Block { line: Some(line.clone()), lines: Vec::new() }),
            "port" => self.first.line = Some(line.clone()),
            "allow_anonymous" => self.anonymous.push((line.clone(), line.value == "true" || line.value == "1")),
            "per_listener_settings" => {}
            _ => self.others.last_mut().unwrap_or(&mut self.first).lines.push(line.clone()),
        }
    }

    /// Says what was read as settings.
    pub(super) fn finish(self, conf: &mut MosquittoConf, problems: &mut Problems) {
        let is_local = self.first.line.is_none() && self.others.is_empty();
        self.say_anonymous(is_local, conf);
        let asked = |block: &Block| block.line.is_some() || !block.lines.is_empty();
        let first = Some(self.first).filter(asked);
        let mut taken = BTreeMap::<&str, Line>::new();
        for block in first.into_iter().chain(self.others) {
            let Some(line) = block.line.as_ref().or(block.lines.first()).cloned() else { continue };
            let Some(kind) = block.kind() else {
                conf.note(&line, "there is no listener of this protocol; this one is passed over");
                continue;
            };
            if let Some(earlier) = taken.get(kind) {
                let why =
                    format!("there is one listener of this kind, that of {}; this one is passed over", earlier.origin);
                conf.note(&line, why);
            } else {
                taken.insert(kind, line);
                block.say(kind, conf, problems);
            }
        }
        if let (None, Some(line)) = (taken.get("mqtt"), taken.values().next()) {
            conf.set(line, "listeners.mqtt.enabled", "false".to_owned());
        }
        if let Some(line) = taken.get("ws").or(taken.get("wss")) {
            conf.set(line, "websocket.protocols", "[\"mqtt\"]".to_owned());
            conf.note(
                line,
                "pages in a browser may connect if websocket.origins has theirs: Mosquitto lets all of them in",
            );
        }
    }

    /// Without any listener Mosquitto lets local clients in without a name. Where several say something, all must allow it.
    fn say_anonymous(&self, is_local: bool, conf: &mut MosquittoConf) {
        let Some((line, _)) = self.anonymous.first() else {
            if is_local {
                conf.notes.push(super::Note {
                    origin: super::Origin::Default,
                    directive: "allow_anonymous".to_owned(),
                    why: "without a listener Mosquitto lets local clients in without a name; say `allow_anonymous true` for that".to_owned(),
                });
            }
            return;
        };
        let is_allowed = self.anonymous.iter().all(|(_, allowed)| *allowed);
        if self.anonymous.iter().any(|(_, allowed)| *allowed) && !is_allowed {
            conf.note(
                line,
                "listeners have no users of their own: clients without a name are let in only where all allow it",
            );
        }
        if is_allowed {
            conf.set(line, "anonymous_user", ANONYMOUS.to_owned());
            conf.set(line, "mqtt.anonymous", "true".to_owned());
            conf.note(
                line,
                "clients that show a name need a line in password_file: Mosquitto without one lets them in, too",
            );
        }
    }
}

impl Block {
    fn say(&self, kind: &str, conf: &mut MosquittoConf, problems: &mut Problems) {
        if let Some(line) = self.line.as_ref().or(self.lines.first()) {
            self.say_address(line, kind, conf, problems);
        }
        if self.has_tls() {
            self.say_tls(conf, problems);
        }
    }

    /// `listener port [address]`, or `port` and `bind_address`. Without an address: all of the machine's.
    fn say_address(&self, line: &Line, kind: &str, conf: &mut MosquittoConf, problems: &mut Problems) {
        let (port, address) = match line.directive.as_str() {
            "listener" => line.value.split_once(' ').unwrap_or((&line.value, "")),
            "port" => (line.value.as_str(), ""),
            _ => (PORT, ""),
        };
        let bound = self.last("bind_address").map(|line| line.value.as_str());
        let address = match bound.unwrap_or(address).trim() {
            "" => "0.0.0.0",
            "localhost" => "127.0.0.1",
            address => address,
        };
        if port == "0" {
            return problems.push(
                line.origin.clone(),
                &*line.directive,
                "there are no listeners on Unix sockets: expected a port",
            );
        }
        conf.set(line, &format!("listeners.{kind}.enabled"), "true".to_owned());
        conf.set(line, &format!("listeners.{kind}.port"), port.to_owned());
        conf.set(line, &format!("listeners.{kind}.bind"), address.to_owned());
    }

    fn say_tls(&self, conf: &mut MosquittoConf, problems: &mut Problems) {
        let files = [("certfile", "tls.certificate"), ("keyfile", "tls.private_key")];
        for (line, setting) in files.iter().filter_map(|(name, setting)| Some((self.last(name)?, setting))) {
            conf.set(line, setting, line.value.clone());
        }
        if let Some(line) = self.last("require_certificate").filter(|_| self.is_set("require_certificate")) {
            conf.set(line, "tls.client_certificates", "required".to_owned());
            match self.last("cafile") {
                Some(file) => conf.set(file, "tls.client_ca", file.value.clone()),
                None => problems.push(
                    line.origin.clone(),
                    "cafile",
                    "expected a file of authorities; capath cannot be used",
                ),
            }
        }
        let names = [("use_identity_as_username", "common_name"), ("use_subject_as_username", "distinguished_name")];
        for (line, word) in names.iter().filter_map(|(name, word)| Some((self.last(name)?, word))) {
            if self.is_set(&line.directive) {
                conf.set(line, "tls.certificate_login", (*word).to_owned());
                conf.set(line, "mqtt.certificate_wins", "true".to_owned());
            }
        }
    }
}
