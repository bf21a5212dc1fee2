//! Rules that one value keeps or does not, whatever the others are.

use super::Rules;
use crate::auth::PasswordHash;
use crate::config::listener::WebProtocol;

impl Rules<'_> {
    pub(super) fn values_are_usable(&mut self) {
        self.names_are_usable();
        self.patterns_are_expressions();
        self.permissions_are_expressions();
        self.password_hashes_are_some();
        self.web_protocols_are_known();
        self.public_url_is_one();
    }

    fn names_are_usable(&mut self) {
        if !self.settings.aws.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            self.complain("aws.account_id", "expected 12 digits");
        }
        self.accounts_are_numbers();
        self.names_are_unique("vhosts", "name", self.settings.vhosts.names().collect());
        let key_ids = self.settings.aws.keys.iter().map(|key| key.access_key_id.as_str());
        self.names_are_unique("aws.keys", "access_key_id", key_ids.collect());
        let user_names = self.settings.users.iter().map(|user| user.name.as_str());
        self.names_are_unique("users", "name", user_names.collect());
    }

    fn accounts_are_numbers(&mut self) {
        let is_number = |account: &String| account.bytes().all(|byte| byte.is_ascii_digit());
        let accounts = self.settings.aws.keys.iter().map(|key| key.account_id.as_ref().is_none_or(is_number));
        let wrong: Vec<usize> = accounts.enumerate().filter(|(_, is_good)| !is_good).map(|(index, _)| index).collect();
        for index in wrong {
            self.complain(&format!("aws.keys[{index}].account_id"), "expected 12 digits");
        }
    }

    fn names_are_unique(&mut self, array: &str, key: &str, names: Vec<&str>) {
        for (index, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..index].contains(name) {
                self.complain(&format!("{array}[{index}].{key}"), format!("{name:?} is there twice"));
            }
        }
    }

    fn patterns_are_expressions(&mut self) {
        for (index, policy) in self.settings.policies.iter().enumerate() {
            self.expect_expression(&format!("policies[{index}].pattern"), regex::Regex::new(&policy.pattern));
        }
    }

    fn permissions_are_expressions(&mut self) {
        for (user, settings) in self.settings.users.iter().enumerate() {
            for (entry, permission) in settings.permissions.iter().enumerate() {
                let of_accesses =
                    [("configure", &permission.configure), ("write", &permission.write), ("read", &permission.read)];
                for (access, text) in of_accesses {
                    let path = format!("users[{user}].permissions[{entry}].{access}");
                    self.expect_expression(&path, regex::bytes::Regex::new(text));
                }
            }
        }
    }

    fn expect_expression<T>(&mut self, path: &str, expression: Result<T, regex::Error>) {
        let Err(error) = expression else { return };
        // Of several lines the last one says what is wrong; those before repeat the expression.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        self.complain(path, format!("expected a regular expression: {reason}"));
    }

    fn password_hashes_are_some(&mut self) {
        for (index, user) in self.settings.users.iter().enumerate() {
            let hash = user.password_hash.as_ref().map(|hash| PasswordHash::parse(hash.expose()));
            if let Some(Err(error)) = hash {
                self.complain(&format!("users[{index}].password_hash"), error.to_string());
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

    fn public_url_is_one(&mut self) {
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if !self.settings.aws.public_url.as_ref().is_none_or(is_url) {
            self.complain("aws.public_url", "expected http:// or https://, a host, and perhaps a port");
        }
    }
}
