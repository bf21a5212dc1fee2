//! One table for all.

use crate::calls::Calls;

/// The program without a broker that all rows are compared with.
pub const FLOOR: &str = "relay";
const OURS: &str = "crossdock";

/// What one workload gave against one broker; everything "per message" is for each delivery.
#[derive(Clone, Debug)]
pub struct Row {
    pub workload: String,
    pub broker: String,
    pub per_second: f64,
    pub broker_us: f64,
    pub client_us: f64,
    pub context_switches: f64,
    pub calls: Option<Calls>,
    /// p50, p99, p99.9
    pub latency_ms: Option<[f64; 3]>,
    pub resident_mib: f64,
}

/// All rows of a run.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

const HEAD: &str = "\
| workload | broker | messages/s | broker CPU µs | CPU × ours | p50 / p99 / p99.9 ms | context switches | reads / writes / all calls | client CPU µs | RSS MiB |
|---|---|---|---|---|---|---|---|---|---|";

impl Report {
    pub fn add(&mut self, row: Row) {
        eprintln!("{}", line(&row, &[]));
        self.rows.push(row);
    }

    pub fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// Prints Markdown, workload by workload. In brackets: the ratio to the relay's figure.
    pub fn print(&self) {
        println!("{HEAD}");
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.workload.as_str()) {
                names.push(&row.workload);
            }
        }
        for name in names {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.workload == name).collect();
            rows.iter().for_each(|row| println!("{}", line(row, &rows)));
        }
        self.notes.iter().for_each(|note| println!("\n- {note}"));
    }
}

/// A row as text, with what the same workload gave on others.
fn line(row: &Row, others: &[&Row]) -> String {
    let of = |name: &str| others.iter().find(|row| row.broker == name).copied();
    let floor = of(FLOOR).filter(|floor| floor.broker != row.broker);
    let figure = |digits: usize, value: fn(&Row) -> f64| match floor {
        Some(floor) => format!("{:.digits$} ({})", value(row), ratio(value(row) / value(floor))),
        None => format!("{:.digits$}", value(row)),
    };
    let of_ours = of(OURS).map_or("–".to_owned(), |ours| ratio(row.broker_us / ours.broker_us));
    let cells = [
        row.workload.clone(),
        row.broker.clone(),
        figure(0, |row| row.per_second),
        figure(2, |row| row.broker_us),
        of_ours,
        latency(row, floor),
        small(row.context_switches),
        row.calls.map_or("–".to_owned(), |calls| [calls.reads, calls.writes, calls.all].map(small).join(" / ")),
        format!("{:.2}", row.client_us),
        format!("{:.0}", row.resident_mib),
    ];
    format!("| {} |", cells.join(" | "))
}

fn latency(row: &Row, floor: Option<&Row>) -> String {
    let Some(own) = row.latency_ms else { return "–".to_owned() };
    let text = own.map(|ms| format!("{ms:.2}")).join(" / ");
    let Some(bare) = floor.and_then(|floor| floor.latency_ms) else { return text };
    let ratios: Vec<String> = own.iter().zip(bare).map(|(own, bare)| ratio(own / bare)).collect();
    format!("{text} ({})", ratios.join(" / "))
}

fn ratio(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Two digits that say something.
fn small(value: f64) -> String {
    match value {
        0.995.. => format!("{value:.1}"),
        0.095.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
