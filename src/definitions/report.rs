//! A plan for people.

use std::fmt;

use super::entries::Section;
use super::plan::{Fate, Plan, Step};

impl Fate {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Present => "already there",
            Self::Dropped => "dropped",
        }
    }
}

/// How many of each section have which fate, then what is not simply kept, and why.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:>8}{:>9}{:>15}{:>9}", "", "kept", "changed", "already there", "dropped")?;
        for section in Section::ALL {
            let of_section =
                |fate| self.steps.iter().filter(|step| step.section == section && step.fate == fate).count();
            let [kept, changed, present, dropped] =
                [Fate::Kept, Fate::Changed, Fate::Present, Fate::Dropped].map(of_section);
            if kept + changed + present + dropped > 0 {
                writeln!(f, "{:<18}{kept:>8}{changed:>9}{present:>15}{dropped:>9}", section.key())?;
            }
        }
        for fate in [Fate::Changed, Fate::Dropped] {
            let steps: Vec<&Step> = self.steps.iter().filter(|step| step.fate == fate).collect();
            if !steps.is_empty() {
                writeln!(f, "\n{}:", fate.word())?;
            }
            for step in steps {
                writeln!(f, "  {:<17} {}: {}", step.section.key(), step.identity, step.why)?;
            }
        }
        if !self.unknown.is_empty() {
            writeln!(f, "\nNot understood in the file: {}", self.unknown.join(", "))?;
        }
        if self.is_empty() { writeln!(f, "\nNothing is to be done.") } else { Ok(()) }
    }
}
