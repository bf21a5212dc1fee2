//! The ports that were really taken, for whoever started the broker on port 0.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::config::ListenerKind;
use crate::net::Listening;

/// Writes a JSON object: listener name → port. The file appears as a whole.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(file: &Path, listening: &[Listening]) -> Result<()> {
    let ports: BTreeMap<&str, u16> = listening.iter().map(|one| (one.kind.name(), one.address.port())).collect();
    let unfinished = file.with_extension("tmp");
    let failed = || format!("cannot write the ports file {}", file.display());
    std::fs::write(&unfinished, serde_json::to_vec(&ports)?).with_context(failed)?;
    std::fs::rename(&unfinished, file).with_context(failed)
}

/// Where the SQS and SNS APIs are, for those who are on this machine or its network.
pub(super) fn aws_url(listening: &[Listening]) -> Option<String> {
    let of = |kind: ListenerKind| listening.iter().find(|one| one.kind == kind);
    let address = of(ListenerKind::Aws).or_else(|| of(ListenerKind::Any))?.address;
    Some(match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    })
}
