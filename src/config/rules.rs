//! Rules of values, and between settings. What would quietly open more than the operator meant is an error, not a default.

mod values;

use super::listener::{Listener, ListenerKind};
use super::problem::{Problem, Problems};
use super::settings::{AwsSink, AwsSinkSettings, ClientCertificates, Settings, Switch, UserSettings};
use super::tree::Node;

/// Checks the rules of single values; each complaint names the place in `tree`. Defaults keep them, so they can be checked whatever
/// could not be read.
pub fn check_values(settings: &Settings, tree: &Node, problems: &mut Problems) {
    Rules { settings, tree, problems }.values_are_usable();
}

/// Checks the rules between settings, which would complain about defaults that stand in for what could not be read.
pub fn check_relations(settings: &Settings, tree: &Node, problems: &mut Problems) {
    let mut rules = Rules { settings, tree, problems };
    rules.tls_has_both_halves();
    rules.client_certificates_have_an_authority();
    rules.tls_is_used();
    rules.listeners_do_not_collide();
    rules.open_modes_stay_on_loopback();
    rules.vhosts_are_some();
    rules.policies_are_usable();
    rules.users_are_complete();
    rules.messages_fit_into_segments();
    rules.sinks_are_complete();
}

/// What is no error, as somebody may make it right while the broker runs: keys that act for nobody yet.
pub fn warnings(settings: &Settings, tree: &Node) -> Vec<Problem> {
    let mut problems = Problems::default();
    // In development mode everybody may do everything, whoever he is.
    if !settings.dev {
        Rules { settings, tree, problems: &mut problems }.keys_act_for_somebody();
    }
    problems.into_result(()).err().map(|error| error.problems).unwrap_or_default()
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
                AwsSink::Smtp if sink.url.is_none() => "url",
                AwsSink::Smtp if sink.from.is_none() => "from",
                AwsSink::Smtp => {
                    self.mail_can_be_sent(name, sink);
                    continue;
                }
                _ => continue,
            };
            let message = format!("aws.sinks.{name}.{missing} is missing");
            self.complain(&format!("aws.sinks.{name}.to"), message);
        }
    }

    fn mail_can_be_sent(&mut self, name: &str, sink: &AwsSinkSettings) {
        let problem = match crate::bridges::sns::check_mail(sink) {
            _ if name != "email" => "only aws.sinks.email can go by SMTP".to_owned(),
            Ok(()) => return,
            Err(problem) => problem,
        };
        self.complain(&format!("aws.sinks.{name}.to"), problem);
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

    fn vhosts_are_some(&mut self) {
        if self.settings.vhosts.is_empty() {
            self.complain("vhosts", "expected at least one name");
        }
    }

    fn policies_are_usable(&mut self) {
        for (index, policy) in self.settings.policies.iter().enumerate() {
            self.vhost_exists(&policy.vhost, &format!("policies[{index}].vhost"));
            if regex::Regex::new(&policy.pattern).is_err() {
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

    fn keys_act_for_somebody(&mut self) {
        for (index, key) in self.settings.aws.keys.iter().enumerate() {
            if !self.settings.users.iter().any(|user| user.name == key.user) {
                let message = "is not among users; what is signed with this key is refused until a user of that name is made at run time";
                self.complain(&format!("aws.keys[{index}].user"), format!("{:?} {message}", key.user));
            }
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

fn password_problem(user: &UserSettings) -> Option<(&'static str, &'static str)> {
    match (&user.password, &user.password_hash) {
        (None, None) => Some(("", "password_hash (or password) is missing")),
        (Some(_), Some(_)) => Some((".password", "password_hash is set too; keep one of them")),
        _ => None,
    }
}
