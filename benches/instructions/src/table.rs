//! The table of counts, as it is checked in and as two of them are compared.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// A row that costs so much more than before fails the check; one that costs so much less should be accepted.
const CHANGE_PERCENT_MAX: f64 = 10.0;
const COMPILER: &str = "# compiler: ";
const HEAD: &str = "# Instructions per message. `benches/instructions/check accept` writes this file.\n";

/// What was counted with a compiler.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub compiler: String,
    pub rows: Vec<Row>,
}

/// One stage of one scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub scenario: String,
    pub stage: String,
    /// Per message.
    pub instructions: f64,
}

/// What a comparison says.
#[derive(Debug, PartialEq)]
pub struct Comparison {
    /// A line for each row.
    pub text: String,
    /// Rows that fail the check.
    pub failures: Vec<String>,
    /// Rows that became much cheaper.
    pub gains: Vec<String>,
}

impl Row {
    /// Whether it is of that stage of that scenario.
    pub fn is(&self, scenario: &str, stage: &str) -> bool {
        self.scenario == scenario && self.stage == stage
    }

    /// Whether it costs so much more than `old` that the check fails.
    fn is_too_dear(&self, old: f64) -> bool {
        self.instructions * 100.0 > old * (100.0 + CHANGE_PERCENT_MAX)
    }

    fn name(&self) -> String {
        format!("{} {}", self.scenario, self.stage)
    }
}

impl Table {
    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn read(text: &str) -> Result<Self> {
        let compiler =
            text.lines().find_map(|line| line.strip_prefix(COMPILER)).context("no line names the compiler")?;
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let row = || {
                let mut fields = line.split('\t').map(str::to_owned);
                let (scenario, stage) = (fields.next()?, fields.next()?);
                Some(Row { scenario, stage, instructions: fields.next()?.parse().ok()? })
            };
            row().with_context(|| format!("not a row: {line:?}"))
        });
        Ok(Self { compiler: compiler.to_owned(), rows: rows.collect::<Result<_>>()? })
    }

    /// One line for each row, so that a diff shows what changed.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}{COMPILER}{}\n", self.compiler);
        for Row { scenario, stage, instructions } in &self.rows {
            let _ = writeln!(text, "{scenario}\t{stage}\t{instructions:.0}");
        }
        text
    }

    /// Whether that row is known from before and costs too much now.
    pub fn is_too_dear(&self, before: &Self, scenario: &str, stage: &str) -> bool {
        let find = |table: &'_ Self| table.rows.iter().find(|row| row.is(scenario, stage)).cloned();
        find(self).zip(find(before)).is_some_and(|(row, old)| row.is_too_dear(old.instructions))
    }

    /// Keeps the lower count of each row that was counted again.
    pub fn keep_lower(&mut self, again: &Self) {
        for row in &mut self.rows {
            let again = again.rows.iter().find(|again| again.is(&row.scenario, &row.stage));
            row.instructions = again.map_or(row.instructions, |again| again.instructions.min(row.instructions));
        }
    }

    /// Compares with what was `before`.
    pub fn compare(&self, before: &Self) -> Comparison {
        let mut comparison = Comparison { text: String::new(), failures: Vec::new(), gains: Vec::new() };
        for row in &self.rows {
            let old = before.rows.iter().find(|old| old.is(&row.scenario, &row.stage));
            comparison.add(row, old.map(|old| old.instructions));
        }
        let gone = |old: &&Row| !self.rows.iter().any(|row| row.is(&old.scenario, &old.stage));
        let gone = before.rows.iter().filter(gone).map(|old| format!("{}: not counted any more", old.name()));
        comparison.failures.extend(gone);
        comparison
    }
}

impl Comparison {
    fn add(&mut self, row: &Row, old: Option<f64>) {
        let (name, new) = (row.name(), row.instructions);
        let Some(old) = old else {
            let _ = writeln!(self.text, "{name:<44} {:>9} {new:>9.0}", "-");
            self.failures.push(format!("{name}: new"));
            return;
        };
        let percent = (new / old - 1.0) * 100.0;
        let line = format!("{name:<44} {old:>9.0} {new:>9.0} {percent:>+7.1} %");
        let _ = writeln!(self.text, "{line}");
        if row.is_too_dear(old) {
            self.failures.push(line);
        } else if new * 100.0 < old * (100.0 - CHANGE_PERCENT_MAX) {
            self.gains.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, f64)]) -> Table {
        let row = |(scenario, instructions): &(&str, f64)| Row {
            scenario: (*scenario).into(),
            stage: "decode".into(),
            instructions: *instructions,
        };
        Table { compiler: "rustc 1".into(), rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn what_is_written_is_read() {
        let table = table(&[("a", 100.0), ("b", 2.0)]);
        assert_eq!(Table::read(&table.to_text()).unwrap(), table);
        assert!(Table::read("# compiler: x\na\tb\n").is_err());
        assert!(Table::read("a\tb\t1\n").is_err());
    }

    #[test]
    fn more_than_ten_percent_fails_and_less_is_a_gain() {
        let before = table(&[("same", 1000.0), ("slower", 1000.0), ("faster", 1000.0), ("gone", 1.0)]);
        let now = table(&[("same", 1100.0), ("slower", 1101.0), ("faster", 899.0), ("new", 1.0)]);
        let Comparison { text, failures, gains } = now.compare(&before);
        assert_eq!(text.lines().count(), 4);
        assert!(now.is_too_dear(&before, "slower", "decode") && !now.is_too_dear(&before, "new", "decode"));
        let starts = |lines: &[String]| lines.iter().map(|line| line[..3].to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (starts(&failures), starts(&gains)),
            (vec!["slo".into(), "new".into(), "gon".into()], vec!["fas".into()])
        );
    }

    #[test]
    fn the_lower_of_two_counts_is_kept() {
        let mut counts = table(&[("a", 5.0), ("b", 5.0), ("c", 5.0)]);
        counts.keep_lower(&table(&[("a", 4.0), ("b", 6.0)]));
        assert_eq!(counts, table(&[("a", 4.0), ("b", 5.0), ("c", 5.0)]));
    }
}
