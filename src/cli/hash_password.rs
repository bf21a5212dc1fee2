//! `crossdock hash-password`: from the terminal without echo, or one line of standard input. Never from an argument, which
//! every local user could read.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{Failure, print};
use crate::auth::{PASSWORD_BYTES_MAX, PasswordHash};

/// Reads a password and prints its argon2id hash.
pub fn hash_password() -> Result<(), Failure> {
    let password = if std::io::stdin().is_terminal() { ask_twice()? } else { read_line(std::io::stdin().lock())? };
    let hash = PasswordHash::create(password.as_bytes()).map_err(|error| Failure::Configuration(error.to_string()))?;
    Ok(print(&format!("{}\n", hash.expose()))?)
}

fn ask_twice() -> Result<Zeroizing<String>> {
    let first = ask("Password: ")?;
    let second = ask("The same again: ")?;
    if first != second {
        bail!("the two passwords differ; nothing was hashed");
    }
    Ok(first)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>> {
    let hidden = HiddenInput::start()?;
    write!(std::io::stderr(), "{prompt}")?;
    let line = read_line(std::io::stdin().lock());
    drop(hidden);
    writeln!(std::io::stderr())?;
    line
}

/// One line without its end. Reads at most what a password may have, and leaves it to the caller to refuse too much.
fn read_line(input: impl BufRead) -> Result<Zeroizing<String>> {
    // Reserved at once, so that no half-filled copy is left behind by growing.
    let mut line = Zeroizing::new(String::with_capacity(PASSWORD_BYTES_MAX + 3));
    input.take(PASSWORD_BYTES_MAX as u64 + 3).read_line(&mut line).context("cannot read the password")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// Keeps the terminal from showing what is typed, until dropped.
struct HiddenInput {
    before: Termios,
}

impl HiddenInput {
    fn start() -> Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("cannot ask the terminal for its settings")?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &hidden).context("cannot hide what is typed")?;
        Ok(Self { before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // There is nothing left to do when the terminal is gone.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_counts_and_its_end_does_not() {
        for input in ["secret\n", "secret\r\n", "secret", "secret\nmore\n"] {
            assert_eq!(read_line(input.as_bytes()).unwrap().as_str(), "secret", "{input:?}");
        }
        assert_eq!(read_line(" spaces stay \n".as_bytes()).unwrap().as_str(), " spaces stay ");
    }

    #[test]
    fn an_endless_line_is_read_only_as_far_as_needed_to_refuse_it() {
        let line = read_line(std::io::BufReader::new(std::io::repeat(b'a'))).unwrap();
        assert!(line.len() > PASSWORD_BYTES_MAX && line.len() < 2 * PASSWORD_BYTES_MAX);
        assert!(PasswordHash::create(line.as_bytes()).is_err());
    }
}
