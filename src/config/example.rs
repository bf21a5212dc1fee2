//! The example configuration file, generated from the declarations.

use super::section::{Declaration, Section, Visitor};
use super::settings::Settings;

/// Opening lines of the generated file.
const HEADER: &str = "\
# Crossdock configuration: every setting with its default. Generated from src/config/settings.rs.
#
# Any setting can also be given as an environment variable (CROSSDOCK__LISTENERS__MQTT__PORT=1884) or on the command
# line (--set listeners.mqtt.port=1884), which win over this file in that order.
# `crossdock check-config FILE` finds all mistakes without starting the broker.
";

/// The text of `packaging/crossdock.example.toml`: all settings commented out, each with documentation and default.
pub fn example_file() -> String {
    let mut writer = ExampleWriter { text: HEADER.to_owned() };
    Settings::default().describe_fields("", &mut writer);
    writer.text
}

struct ExampleWriter {
    text: String,
}

impl ExampleWriter {
    fn documentation(&mut self, declaration: &Declaration) {
        for line in declaration.documentation {
            self.text.push_str(&format!("#{line}\n"));
        }
    }
}

impl Visitor for ExampleWriter {
    fn scalar(&mut self, declaration: &Declaration, default: Option<String>, expected: &str, bounds: &str) {
        self.text.push('\n');
        self.documentation(declaration);
        if !bounds.is_empty() {
            self.text.push_str(&format!("# Range: {bounds}.\n"));
        }
        let value = declaration.example.map(str::to_owned).or(default).unwrap_or_else(|| format!("… # {expected}"));
        self.text.push_str(&format!("#{} = {value}\n", declaration.key));
    }

    fn section(&mut self, path: &str, declaration: &Declaration, repeated: bool) {
        self.text.push('\n');
        self.documentation(declaration);
        let header = if repeated { format!("#[[{path}]]\n") } else { format!("[{path}]\n") };
        self.text.push_str(&header);
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::{Sources, load};
    use super::*;
    use std::path::PathBuf;

    fn example_path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/crossdock.example.toml")
    }

    /// Regenerate with `CROSSDOCK_WRITE_EXAMPLE=1 cargo test --lib example`.
    #[test]
    fn the_example_file_is_up_to_date() {
        if std::env::var_os("CROSSDOCK_WRITE_EXAMPLE").is_some() {
            std::fs::write(example_path(), example_file()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(example_path()).unwrap(), example_file());
    }

    #[test]
    fn the_example_file_is_a_valid_configuration() {
        let settings = load(&Sources { file: Some(example_path()), ..Sources::default() }).unwrap();
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn the_example_file_is_valid_with_every_line_switched_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("all.toml");
        let is_setting = |line: &str| !line.starts_with("# ") && line != "#";
        let lines = example_file().lines().filter(|line| is_setting(line)).map(switched_on).collect::<Vec<_>>();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let settings =
            load(&Sources { file: Some(path), ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((settings.users.len(), settings.aws.keys.len()), (1, 1));
        assert_eq!(settings.policies[0].pattern, "^logs\\.");
        assert_eq!(settings.users[0].permissions[0].configure, "^orders\\..*");
    }

    /// `password` and `password_hash` exclude each other, and a client CA wants client certificates.
    fn switched_on(line: &str) -> String {
        let line = line.strip_prefix('#').unwrap_or(line);
        match line.split(" = ").next() {
            Some("password") => String::new(),
            Some("client_certificates") => "client_certificates = \"optional\"".into(),
            _ => line.to_owned(),
        }
    }
}
