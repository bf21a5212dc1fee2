//! One table for all.

/// What one workload gave against one broker.
#[derive(Clone, Debug)]
pub struct Row {
    pub workload: String,
    pub broker: String,
    pub per_second: f64,
    pub broker_us: f64,
    pub client_us: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub resident_mib: f64,
}

/// All rows of a run.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&mut self, row: Row) {
        eprintln!("{:<34} {:<18} {:>9.0}/s {:>8.2} µs", row.workload, row.broker, row.per_second, row.broker_us);
        self.rows.push(row);
    }

    pub fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// Prints Markdown, workload by workload, with the ratio of broker CPU to ours.
    pub fn print(&self) {
        println!(
            "| workload | broker | messages/s | broker CPU µs/msg | × ours | client µs/msg | p50 / p99 ms | RSS MiB |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.workload.as_str()) {
                names.push(&row.workload);
            }
        }
        for name in names {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.workload == name).collect();
            let ours = rows.iter().find(|row| row.broker == "crossdock").map(|row| row.broker_us);
            rows.iter().for_each(|row| println!("{}", line(row, ours)));
        }
        self.notes.iter().for_each(|note| println!("\n{note}"));
    }
}

fn line(row: &Row, ours: Option<f64>) -> String {
    let ratio = ours.map_or("–".to_owned(), |ours| format!("{:.1}", row.broker_us / ours));
    let latency = match (row.p50_ms, row.p99_ms) {
        (Some(p50), Some(p99)) => format!("{p50:.2} / {p99:.2}"),
        _ => "–".to_owned(),
    };
    let Row { workload, broker, per_second, broker_us, client_us, resident_mib, .. } = row;
    format!(
        "| {workload} | {broker} | {per_second:.0} | {broker_us:.2} | {ratio} | {client_us:.2} | {latency} | {resident_mib:.0} |"
    )
}
