//! `crossdock store encrypt` and `decrypt`.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use crossdock_store::{Keyring, Options, RealDisk, Resealed, Resealing};

use super::check::{described, examine, fail_if_damaged};
use super::journals::Journals;
use crate::cli::{Failure, print};

/// What the files shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Encrypted with the key that is set.
    Encrypted,
    /// As without a key.
    Clear,
}

/// Writes every file anew that is not as it should be.
pub(super) fn encrypt(directory: &Path, keys: &Keyring, wanted: Wanted) -> Result<(), Failure> {
    check_keys(keys, wanted)?;
    let verdicts = examine(directory, keys)?;
    if let Err(failure) = fail_if_damaged(&verdicts) {
        print(&described(&verdicts))?;
        print("what is damaged has to be repaired first (crossdock store repair); no file was written anew\n")?;
        return Err(failure);
    }
    // All are held before any is changed: no broker starts meanwhile.
    for (name, journal) in open(directory, keys)? {
        let done = journal.run().with_context(|| {
            "not all files were written anew; every file is whole, before or after, and the command goes on where it was"
        })?;
        print(&told(&name, done, keys, wanted))?;
    }
    Ok(())
}

fn check_keys(keys: &Keyring, wanted: Wanted) -> Result<(), Failure> {
    let reason = match (wanted, keys.seals()) {
        (Wanted::Encrypted, false) => "there is no key to encrypt with: name its file in store.encryption.key_file",
        (Wanted::Clear, true) => {
            "store.encryption.key_file is set, with which the broker would encrypt again: name the file in \
             store.encryption.old_key_files instead"
        }
        _ => return Ok(()),
    };
    Err(Failure::Configuration(format!("crossdock: {reason}; nothing has been changed")))
}

fn open(directory: &Path, keys: &Keyring) -> Result<Vec<(String, Resealing)>, Failure> {
    let names = Journals::open(directory, keys)?.names();
    let mut journals = Vec::with_capacity(names.len());
    for name in names {
        let options = Options { keep_segments: true, keys: keys.clone(), ..Options::default() };
        let (journal, report) = Resealing::open(Arc::new(RealDisk), options, &directory.join(&name))
            .map_err(|error| Failure::Configuration(format!("crossdock: {error}")))?;
        if report.damages > 0 {
            return Err(anyhow!("{name} is damaged; no file was written anew").into());
        }
        journals.push((name, journal));
    }
    Ok(journals)
}

fn told(name: &str, done: Resealed, keys: &Keyring, wanted: Wanted) -> String {
    let how = match (wanted, keys.ids().first()) {
        (Wanted::Encrypted, Some(key)) => format!("encrypted with key {key}"),
        _ => "written in clear".to_owned(),
    };
    let Resealed { rewritten, rewritten_bytes, kept, spares, quarantined } = done;
    let mut text = format!("{name:<12} {rewritten} files {how} ({rewritten_bytes} bytes), {kept} were so already\n");
    if spares > 0 {
        text += &format!("  {spares} empty segments removed\n");
    }
    if quarantined > 0 {
        text += &format!(
            "  {quarantined} damaged files in {name}/quarantine are left as they are: remove them when nobody needs them\n"
        );
    }
    text
}
