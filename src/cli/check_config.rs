//! `crossdock check-config`.

use super::{Failure, check_files, print};
use crate::config::{Settings, Sources, load, mosquitto_notes, warnings};

/// Loads everything `serve` would load, certificates included, and says what would be served.
pub fn check_config(sources: &Sources) -> Result<(), Failure> {
    let settings = load(sources)?;
    check_files(&settings)?;
    let notes: String = mosquitto_notes(sources).iter().map(|note| format!("  {note}\n")).collect();
    let warnings: String =
        warnings(sources, &settings).iter().map(|warning| format!("  warning: {warning}\n")).collect();
    let file = sources
        .file
        .as_ref()
        .or(sources.mosquitto_conf.as_ref())
        .map_or("the configuration".into(), |path| path.display().to_string());
    Ok(print(&format!("{file} is valid\n{}{notes}{warnings}", listeners(&settings)))?)
}

fn listeners(settings: &Settings) -> String {
    let line = |listener: &crate::config::Listener| format!("  {:<11}{}\n", listener.kind.name(), listener.address);
    settings.active_listeners().iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigurationError, TlsSettings};

    #[test]
    fn the_listeners_are_listed() {
        let text = listeners(&Settings::default());
        assert!(text.starts_with("  amqp       127.0.0.1:5672\n  mqtt       127.0.0.1:1883\n"), "{text}");
    }

    #[test]
    fn certificates_are_part_of_the_check() {
        let path = Some("/nonexistent.pem".into());
        let tls = TlsSettings { certificate: path.clone(), private_key: path, ..TlsSettings::default() };
        let failure = check_files(&Settings { tls, ..Settings::default() }).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.message().starts_with("tls.certificate: cannot read /nonexistent.pem"), "{failure:?}");
    }

    #[test]
    fn problems_are_counted() {
        let error = load(&Sources { assignments: vec!["a=1".into(), "b=2".into()], ..Sources::default() }).unwrap_err();
        assert!(Failure::from(error).message().ends_with("2 problems in the configuration; nothing was started"));
        let error: ConfigurationError =
            load(&Sources { assignments: vec!["a=1".into()], ..Sources::default() }).unwrap_err();
        assert!(Failure::from(error).message().ends_with("1 problem in the configuration; nothing was started"));
    }
}
