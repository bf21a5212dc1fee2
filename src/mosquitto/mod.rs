//! Files of Mosquitto, read as they are: its password file and its access control list.
//!
//! Invariant: a line that is not understood denies. It never gives anybody more than the file would without it.

mod acl;
mod filter;
mod passwords;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::auth::UserRecord;
use crate::config::Settings;
pub use acl::AccessControlList;
pub use watch::keep_up_to_date;

/// Largest of these files, in bytes: a wrong path is noticed before memory is.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Where the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub passwords: Option<PathBuf>,
    pub acl: Option<PathBuf>,
    /// Who the rules before the first `user` line are for.
    anonymous_user: Option<String>,
}

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Those whose line says no password that is understood have none, and cannot log in with one.
    pub users: BTreeMap<String, UserRecord>,
    /// Without an ACL file every topic may be used.
    pub acl: Option<Arc<AccessControlList>>,
}

/// A line that was not understood, and what follows from that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Complaint {
    /// Counted from 1.
    line: usize,
    text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl Files {
    /// Those that the configuration names; `None` if it names none.
    pub fn of(settings: &Settings) -> Option<Self> {
        let (passwords, acl) = (settings.mqtt.password_file.clone(), settings.mqtt.acl_file.clone());
        let anonymous_user = settings.anonymous_user.clone().filter(|_| settings.mqtt.anonymous);
        let is_any = passwords.is_some() || acl.is_some() || anonymous_user.is_some();
        is_any.then_some(Self { passwords, acl, anonymous_user })
    }

    /// Reads them. Lines that are not understood are told in the log, each with what it leads to.
    ///
    /// # Errors
    /// A file cannot be read, or is no text.
    pub fn read(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        if let Some(path) = &self.passwords {
            contents.users = read(path, passwords::parse)?;
        }
        if let Some(path) = &self.acl {
            let acl = read(path, acl::parse)?;
            // They may have a certificate.
            acl.users().for_each(|name| without_password(&mut contents.users, name));
            contents.acl = Some(Arc::new(acl.with_anonymous(self.anonymous_user.as_deref())));
        }
        if let Some(name) = &self.anonymous_user {
            without_password(&mut contents.users, name);
        }
        Ok(contents)
    }
}

fn without_password(users: &mut BTreeMap<String, UserRecord>, name: &str) {
    let record = || UserRecord { name: name.to_owned(), password_hash: None, tags: Vec::new() };
    users.entry(name.to_owned()).or_insert_with(record);
}

fn read<T>(path: &Path, parse: impl Fn(&str, &mut Vec<Complaint>) -> T) -> Result<T> {
    let about = || format!("cannot read {}", path.display());
    let length = std::fs::metadata(path).with_context(about)?.len();
    anyhow::ensure!(length <= FILE_BYTES_MAX, "{} has more than {} MiB", path.display(), FILE_BYTES_MAX >> 20);
    let text = std::fs::read_to_string(path).with_context(about)?;
    let mut complaints = Vec::new();
    let parsed = parse(&text, &mut complaints);
    for complaint in complaints {
        tracing::error!(file = %path.display(), "{complaint}");
    }
    Ok(parsed)
}
