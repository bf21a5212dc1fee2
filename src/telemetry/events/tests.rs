use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `emit` logs and what the metrics page says then.
fn observed(emit: impl FnOnce(&Metrics)) -> (String, String) {
    let (metrics, lines) = (Metrics::new(), Lines::default());
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || emit(&metrics));
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (log, metrics.encode())
}

fn peer() -> SocketAddr {
    "192.0.2.1:5000".parse().unwrap()
}

#[test]
fn opened_and_closed_connections_balance() {
    let (log, page) = observed(|metrics| {
        for _ in 0..2 {
            ConnectionOpened { protocol: Protocol::Mqtt, peer: peer() }.emit(metrics);
        }
        ConnectionClosed { protocol: Protocol::Mqtt, peer: peer(), reason: "client left" }.emit(metrics);
    });
    assert_eq!(log.lines().count(), 3);
    assert!(log.contains("connection closed protocol=mqtt peer=192.0.2.1:5000 reason=\"client left\""), "{log}");
    for line in ["connections{protocol=\"mqtt\"} 1", "connections_opened_total{protocol=\"mqtt\"} 2"] {
        assert!(page.contains(&format!("crossdock_{line}\n")), "{page}");
    }
}

#[test]
fn a_violation_names_peer_and_rule_in_log_and_metric() {
    let event = ProtocolViolation { protocol: Protocol::Amqp091, peer: peer(), rule: "frame-too-large", detail: "" };
    let (log, page) = observed(|metrics| event.emit(metrics));
    assert!(log.contains("protocol violation protocol=amqp091 peer=192.0.2.1:5000 rule=\"frame-too-large\""), "{log}");
    let line = "crossdock_protocol_violations_total{protocol=\"amqp091\",rule=\"frame-too-large\"} 1\n";
    assert!(page.contains(line), "{page}");
}

#[test]
fn a_user_name_cannot_forge_log_lines() {
    let event = AuthenticationFailed { protocol: Protocol::Stomp, peer: peer(), user: "a\nINFO forged\x1b[2J" };
    let (log, page) = observed(|metrics| event.emit(metrics));
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(!log.contains('\x1b'));
    assert!(page.contains("crossdock_authentication_failures_total{protocol=\"stomp\"} 1\n"), "{page}");
}

#[test]
fn a_journals_troubles_are_logged_and_a_start_is_measured() {
    let (log, page) = observed(|metrics| {
        JournalFull { journal: "shard-0" }.emit();
        JournalWritable { journal: "shard-0" }.emit();
        JournalFailed { journal: "shard-1", error: &io::Error::other("I/O error") }.emit();
        RecoveryFinished { records: 7, elapsed_ms: 30 }.emit(metrics);
        ListenerStarted { listener: "mqtt", address: peer() }.emit(metrics);
    });
    assert!(log.contains("journal=\"shard-1\" error=I/O error"), "{log}");
    for line in ["recovered_records 7", "recovery_milliseconds 30", "listeners 1"] {
        assert!(page.contains(&format!("crossdock_{line}\n")), "{line}\n{page}");
    }
}
