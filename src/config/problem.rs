//! What is wrong with a configuration: everything at once, each with the place to change.

use std::fmt;

use super::tree::Origin;

/// One thing that is wrong.
///
/// `message` says what is wrong and what is expected. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was written.
    pub origin: Origin,
    /// The dotted name of the setting, empty when the whole file is meant.
    pub setting: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting.as_str() {
            "" => write!(formatter, "{}: {}", self.origin, self.message),
            setting => write!(formatter, "{}: {setting}: {}", self.origin, self.message),
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the file, then environment, then command line.
///
/// It has at least one problem, and displays one per line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigurationError {
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// Collects problems while reading goes on.
#[derive(Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, origin: Origin, setting: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { origin, setting: setting.into(), message: message.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` when nothing was wrong, else everything that was.
    pub fn into_result<T>(mut self, value: T) -> Result<T, ConfigurationError> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        Err(ConfigurationError { problems: self.0 })
    }
}

/// The valid name an unknown one was probably meant to be: at most a third of its letters differ.
pub fn nearest_name<'a>(unknown: &str, valid: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(unknown, name);
    let nearest = valid.iter().copied().min_by_key(|name| distance(name))?;
    (distance(nearest) <= (nearest.len() / 3).max(1)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let valid = ["port", "bind", "enabled"];
        assert_eq!(nearest_name("prot", &valid), Some("port"));
        assert_eq!(nearest_name("enable", &valid), Some("enabled"));
        assert_eq!(nearest_name("certificate", &valid), None);
        assert_eq!(nearest_name("x", &[]), None);
    }
}
