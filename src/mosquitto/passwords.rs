//! `password_file`: a line `name:hash` for each user.

use std::collections::BTreeMap;

use super::Complaint;
use crate::auth::{PasswordHash, USER_NAME_BYTES_MAX, UserRecord};

/// Reads the file. The first line of a name counts, as in Mosquitto; a hash that is not understood gives a user without password.
pub(super) fn parse(text: &str, complaints: &mut Vec<Complaint>) -> BTreeMap<String, UserRecord> {
    let mut users = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut complain = |text: String| complaints.push(Complaint { line: index + 1, text });
        let (name, hash) = match line.split_once(':') {
            Some((name, hash)) if (1..=USER_NAME_BYTES_MAX).contains(&name.len()) => (name, hash),
            _ => {
                complain("expected `name:hash`; nobody gets in by it".to_owned());
                continue;
            }
        };
        if users.contains_key(name) {
            complain(format!("user '{name}' is in the file already; this line is passed over"));
            continue;
        }
        let password_hash = match PasswordHash::parse(hash) {
            Ok(hash) => Some(hash),
            Err(error) => {
                complain(format!("user '{name}' cannot log in: {error}"));
                None
            }
        };
        users.insert(name.to_owned(), UserRecord { name: name.to_owned(), password_hash, tags: Vec::new() });
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$7$101$6FCtrJUPK7FpZRxv$cQl4JkM1aGpANebRGd7HZ3GtKtlJKEvBqyzjcm7FNE2SYUtSNbcvWPmZFefRvFLqOJI0J8pW0XGR26f9QKA9Kg==";

    #[test]
    fn users_are_read_and_what_is_not_understood_opens_nothing() {
        let mut complaints = Vec::new();
        let text =
            format!("# users\n\nalice:{HASH}\nplain:secret\nalice:{HASH}\nnobody\n:{HASH}\nempty:\ncrlf:{HASH}\r\n");
        let users = parse(&text, &mut complaints);
        let opens = |name: &str| {
            let hash = users.get(name).and_then(|user| user.password_hash.as_ref());
            hash.is_some_and(|hash| hash.verify(b"secret"))
        };
        let names: Vec<&str> = users.keys().map(String::as_str).collect();
        assert_eq!(names, ["alice", "crlf", "empty", "plain"]);
        assert!(opens("alice") && opens("crlf") && !opens("plain") && !opens("empty"));
        let lines: Vec<usize> = complaints.iter().map(|complaint| complaint.line).collect();
        assert_eq!(lines, [4, 5, 6, 7, 8]);
        assert!(complaints[0].to_string().starts_with("line 4: user 'plain' cannot log in: "), "{}", complaints[0]);
    }
}
