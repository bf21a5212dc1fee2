//! How much happens in a minute, averaged over one, five and fifteen of them as Mosquitto and Unix do.

use std::time::Duration;

use super::Figures;

/// The averages: their names, and their times in seconds.
const AVERAGES: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];
/// Its name, and where the number is.
type Averaged = (&'static str, fn(&Figures) -> u64);
/// What is averaged.
const COUNTERS: [Averaged; 9] = [
    ("messages/received", |figures| figures.publish_received),
    ("messages/sent", |figures| figures.publish_sent),
    ("publish/received", |figures| figures.publish_received),
    ("publish/sent", |figures| figures.publish_sent),
    ("bytes/received", |figures| figures.bytes_received),
    ("bytes/sent", |figures| figures.bytes_sent),
    ("publish/dropped", |figures| figures.dropped),
    ("sockets", |figures| figures.sockets),
    ("connections", |figures| figures.connections),
];

#[derive(Default)]
pub(super) struct Load {
    last: Figures,
    per_minute: [[f64; AVERAGES.len()]; COUNTERS.len()],
}

impl Load {
    /// Takes the counters as they are some time after the last ones.
    pub(super) fn take(&mut self, figures: &Figures, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        for ((_, count), averages) in COUNTERS.iter().zip(&mut self.per_minute) {
            let now = count(figures).saturating_sub(count(&self.last)) as f64 * 60.0 / seconds;
            for ((_, over_seconds), average) in AVERAGES.iter().zip(averages) {
                *average = now + (-seconds / over_seconds).exp() * (*average - now);
            }
        }
        self.last = *figures;
    }

    /// Topics below `$SYS/broker`, and their values.
    pub(super) fn topics(&self) -> Vec<(String, f64)> {
        let of_counter = |((name, _), averages): (&Averaged, &[f64; AVERAGES.len()])| {
            let topics =
                AVERAGES.iter().zip(averages).map(|((over, _), value)| (format!("load/{name}/{over}"), *value));
            topics.collect::<Vec<_>>()
        };
        COUNTERS.iter().zip(&self.per_minute).flat_map(of_counter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_becomes_the_average_the_sooner_the_shorter_it_is() {
        let mut load = Load::default();
        for round in 1..=60 {
            let figures = Figures { bytes_sent: round * 100, ..Figures::default() };
            load.take(&figures, Duration::from_secs(10));
        }
        let topics = load.topics();
        let value = |name: &str| topics.iter().find(|(topic, _)| topic == name).unwrap().1;
        assert!((value("load/bytes/sent/1min") - 600.0).abs() < 1.0, "{topics:?}");
        assert!(value("load/bytes/sent/5min") > value("load/bytes/sent/15min"), "{topics:?}");
        assert_eq!((topics.len(), value("load/bytes/received/1min")), (27, 0.0));
    }
}
