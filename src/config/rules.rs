//! Rules between settings. What would quietly open more than the operator meant is an error, not a default.

use super::listener::{Listener, ListenerKind, WebProtocol};
use super::problem::Problems;
use super::settings::{AwsSink, ClientCertificates, Settings, Switch, UserSettings};
use super::tree::Node;
use crate::auth::PasswordHash;

/// Checks all rules; each complaint names the place in `tree`.
pub fn check(settings: &Settings, tree: &Node, problems: &mut Problems) {
    let mut rules = Rules { settings, tree, problems };
    rules.tls_has_both_halves();
    rules.client_certificates_have_an_authority();
    rules.tls_is_used();
    rules.listeners_do_not_collide();
    rules.open_modes_stay_on_loopback();
    rules.names_are_usable();
    rules.policies_are_usable();
    rules.users_are_complete();
    rules.messages_fit_into_segments();
    rules.web_protocols_are_known();
    rules.sinks_are_complete();
}

struct Rules<'a> {
    settings: &'a Settings,
    tree: &'a Node,
    problems: &'a mut Problems,
}

impl Rules<'_> {
    fn complain(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(self.tree.origin_of(path), path, message);
    }

    fn tls_has_both_halves(&mut self) {
        let tls = &self.settings.tls;
        match (&tls.certificate, &tls.private_key) {
            (Some(_), None) => self.complain("tls.certificate", "tls.private_key is missing; set both or neither"),
            (None, Some(_)) => self.complain("tls.private_key", "tls.certificate is missing; set both or neither"),
            (None, None) => self.tls_listeners_are_not_forced(),
            (Some(_), Some(_)) => {}
        }
    }

    fn tls_listeners_are_not_forced(&mut self) {
        for kind in ListenerKind::ALL.into_iter().filter(|kind| kind.is_tls()) {
            if self.settings.listeners.of(kind).enabled == Switch::On {
                let message = "a TLS listener needs tls.certificate and tls.private_key; \
                               `crossdock dev-certs` makes a set for development";
                self.complain(&format!("listeners.{kind}.enabled"), message);
            }
        }
    }

    fn web_protocols_are_known(&mut self) {
        for (index, word) in self.settings.websocket.protocols.iter().enumerate() {
            if !WebProtocol::ALL.iter().any(|protocol| protocol.word() == word) {
                let path = format!("websocket.protocols[{index}]");
                self.complain(&path, format!("{word:?} is not one of \"mqtt\", \"stomp\", \"amqp\""));
            }
        }
    }

    fn sinks_are_complete(&mut self) {
        let sinks = &self.settings.aws.sinks;
        let all = [
            ("application", &sinks.application),
            ("email", &sinks.email),
            ("sms", &sinks.sms),
            ("lambda", &sinks.lambda),
            ("firehose", &sinks.firehose),
        ];
        for (name, sink) in all {
            let missing = match sink.to {
                AwsSink::Webhook if sink.url.is_none() => "url",
                AwsSink::Directory if sink.path.is_none() => "path",
                _ => continue,
            };
            let message = format!("aws.sinks.{name}.{missing} is missing");
            self.complain(&format!("aws.sinks.{name}.to"), message);
        }
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if !self.settings.aws.public_url.as_ref().is_none_or(is_url) {
            self.complain("aws.public_url", "expected http:// or https://, a host, and perhaps a port");
        }
    }

    fn messages_fit_into_segments(&mut self) {
        let (message, segment) = (self.settings.limits.message_bytes_max.0, self.settings.store.segment_bytes.0);
        // The rest is for the message's headers and for what is written in the same batch.
        if message.saturating_mul(2) > segment {
            let message =
                "is more than half of store.segment_bytes; a message and what comes with it must fit into one segment";
            self.complain("limits.message_bytes_max", message);
        }
    }

    fn client_certificates_have_an_authority(&mut self) {
        let tls = &self.settings.tls;
        let asked = tls.client_certificates != ClientCertificates::Off;
        if asked && tls.client_ca.is_none() {
            self.complain("tls.client_certificates", "tls.client_ca is missing, so no client could be trusted");
        }
        if !asked && tls.client_ca.is_some() {
            let message =
                "has no effect while tls.client_certificates is \"off\"; set it to \"optional\" or \"required\"";
            self.complain("tls.client_ca", message);
        }
    }

    /// TLS settings that no listener uses mean that someone believes to be protected and is not (COM-9).
    fn tls_is_used(&mut self) {
        let tls = &self.settings.tls;
        if self
            .settings
            .active_listeners()
            .iter()
            .any(|listener| listener.kind.is_tls() || listener.kind == ListenerKind::Any)
        {
            return;
        }
        if tls.certificate.is_some() {
            self.complain(
                "tls.certificate",
                "has no effect, since listeners.amqps, .mqtts, .stomps, .wss and .any are all disabled",
            );
        }
        if tls.client_certificates != ClientCertificates::Off {
            self.complain("tls.client_certificates", "has no effect, since no TLS listener is enabled");
        }
    }

    fn listeners_do_not_collide(&mut self) {
        let listeners = self.settings.active_listeners();
        for (index, listener) in listeners.iter().enumerate() {
            if let Some(other) = listeners[..index].iter().find(|other| collide(listener, other)) {
                let message = format!("{} is taken by listeners.{}", listener.address, other.kind);
                self.complain(&format!("listeners.{}.port", listener.kind), message);
            }
        }
    }

    fn open_modes_stay_on_loopback(&mut self) {
        for Listener { kind, address } in self.settings.active_listeners() {
            if address.ip().is_loopback() {
                continue;
            }
            let path = format!("listeners.{kind}.bind");
            if self.settings.dev {
                let message = format!("development mode accepts everyone, so it must not listen on {}", address.ip());
                self.complain(&path, message);
            }
            if matches!(kind, ListenerKind::Aws | ListenerKind::Any) && !self.settings.aws.verify_signatures {
                let message = format!("aws.verify_signatures is false, so it must not listen on {}", address.ip());
                self.complain(&path, message);
            }
        }
    }

    fn names_are_usable(&mut self) {
        if !self.settings.aws.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            self.complain("aws.account_id", "expected 12 digits");
        }
        if self.settings.vhosts.is_empty() {
            self.complain("vhosts", "expected at least one name");
        }
        self.names_are_unique("vhosts", "name", self.settings.vhosts.names().collect());
        let key_ids = self.settings.aws.keys.iter().map(|key| key.access_key_id.as_str());
        self.names_are_unique("aws.keys", "access_key_id", key_ids.collect());
        let user_names = self.settings.users.iter().map(|user| user.name.as_str());
        self.names_are_unique("users", "name", user_names.collect());
    }

    fn names_are_unique(&mut self, array: &str, key: &str, names: Vec<&str>) {
        for (index, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..index].contains(name) {
                self.complain(&format!("{array}[{index}].{key}"), format!("{name:?} is there twice"));
            }
        }
    }

    fn policies_are_usable(&mut self) {
        for (index, policy) in self.settings.policies.iter().enumerate() {
            self.vhost_exists(&policy.vhost, &format!("policies[{index}].vhost"));
            if let Err(error) = regex::Regex::new(&policy.pattern) {
                self.complain(&format!("policies[{index}].pattern"), error.to_string());
                continue;
            }
            match policy.check(index) {
                Err(_) if policy.record(index).definition.is_empty() => {
                    self.complain(&format!("policies[{index}]"), "has no effect; set durability or definition");
                }
                Err(error) => self.complain(&format!("policies[{index}]"), error),
                Ok(()) => {}
            }
        }
    }

    fn vhost_exists(&mut self, vhost: &str, path: &str) {
        if !self.settings.vhosts.names().any(|name| name == vhost) {
            self.complain(path, format!("{vhost:?} is not among vhosts"));
        }
    }

    fn users_are_complete(&mut self) {
        for (index, user) in self.settings.users.iter().enumerate() {
            if let Some((key, message)) = password_problem(user) {
                self.complain(&format!("users[{index}]{key}"), message);
            }
            for (entry, permission) in user.permissions.iter().enumerate() {
                self.vhost_exists(&permission.vhost, &format!("users[{index}].permissions[{entry}].vhost"));
            }
        }
    }
}

fn collide(one: &Listener, other: &Listener) -> bool {
    let (a, b) = (one.address, other.address);
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && overlap
}

fn password_problem(user: &UserSettings) -> Option<(&'static str, String)> {
    match (&user.password, &user.password_hash) {
        (None, None) => Some(("", "password_hash (or password) is missing".into())),
        (Some(_), Some(_)) => Some((".password", "password_hash is set too; keep one of them".into())),
        (Some(_), None) => None,
        (None, Some(hash)) => {
            let error = PasswordHash::parse(hash.expose()).err()?;
            Some((".password_hash", error.to_string()))
        }
    }
}
