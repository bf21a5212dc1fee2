//! One table of everything that was measured.

/// What was measured of one broker, one line each.
#[derive(Default)]
pub struct Findings {
    lines: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    /// A figure that stands for itself.
    pub fn add(&mut self, workload: &str, who: &str, what: &str, figure: String) {
        self.line(workload, who, what, &figure, "", "");
    }

    /// A figure with its target.
    pub fn judge(&mut self, workload: &str, who: &str, what: &str, figure: String, target: &str) {
        self.line(workload, who, what, &figure, "", target);
    }

    /// A figure, its ratio to another of the same run, and the target of that ratio.
    pub fn compare(&mut self, workload: &str, who: &str, what: &str, figure: String, ratio: (f64, &str), target: &str) {
        let ratio = format!("{:.2} × {}", ratio.0, ratio.1);
        self.line(workload, who, what, &figure, &ratio, target);
    }

    pub fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    fn line(&mut self, workload: &str, who: &str, what: &str, figure: &str, ratio: &str, target: &str) {
        let line = format!("| {workload} | {who} | {what} | {figure} | {ratio} | {target} |");
        eprintln!("{line}");
        self.lines.push(line);
    }

    /// Prints Markdown.
    pub fn print(&self) {
        println!("| workload | who | what | measured | ratio | target |");
        println!("|---|---|---|---|---|---|");
        self.lines.iter().for_each(|line| println!("{line}"));
        self.notes.iter().for_each(|note| println!("\n{note}"));
    }
}
