//! Two ends under virtual time: a scripted client, and the machine with a core behind it.

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_amqp091::{Connection, ConnectionOptions};
use crossdock_common::output::Close;
use crossdock_common::testkit::Link;
use crossdock_common::{Command, Event, Instant, Machine, Now, Output};

use super::support::*;

/// A client that sends one line of its script for every frame it gets, except heart-beats, and its own heart-beats when
/// asked to.
struct Client {
    script: std::vec::IntoIter<Vec<u8>>,
    got: Vec<String>,
    heartbeat_ms: Option<u64>,
    next_heartbeat: Option<Instant>,
}

impl Client {
    fn new(script: Vec<Vec<u8>>, heartbeat_ms: Option<u64>) -> Self {
        Self { script: script.into_iter(), got: Vec::new(), heartbeat_ms, next_heartbeat: None }
    }
}

impl Machine for Client {
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        for got in frames(&input.split()) {
            let line = got.line();
            if line != "heartbeat" {
                output.bytes.buffer().put_slice(&self.script.next().unwrap_or_default());
            }
            if line == "0 connection.open-ok" {
                self.next_heartbeat = self.heartbeat_ms.map(|ms| now.instant.after_ms(ms));
            }
            self.got.push(line);
        }
    }

    fn handle(&mut self, _: Now, _: Event, _: &mut Output) {}

    fn timeout(&mut self, now: Now, output: &mut Output) {
        output.bytes.buffer().put_slice(&frame(8, 0, b""));
        self.next_heartbeat = self.heartbeat_ms.map(|ms| now.instant.after_ms(ms));
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_heartbeat
    }

    fn shutdown(&mut self, _: Now, _: &mut Output) {}

    fn end(&mut self, _: Now, _: &mut Output) {}

    fn input_bytes_max(&self) -> usize {
        usize::MAX
    }

    fn is_authenticated(&self) -> bool {
        true
    }
}

type Behind = Box<dyn FnMut(Now, Command) -> Vec<Event>>;

fn link(script: Vec<Vec<u8>>, heartbeat_ms: Option<u64>) -> Link<Client, Behind, Connection, Behind> {
    let mut core = Core::default();
    let now = Now { instant: Instant(1), ..Now::default() };
    let mut link = Link::new(
        Client::new(script, heartbeat_ms),
        Box::new(|_, _| Vec::new()) as Behind,
        Connection::new(now, ConnectionOptions::default()),
        Box::new(move |_, command| core.answer(command)) as Behind,
    );
    link.drive_a(|_, _, output| output.bytes.buffer().put_slice(HEADER));
    link
}

fn script(heartbeat: u16) -> Vec<Vec<u8>> {
    vec![start_ok("PLAIN", b"\0guest\0guest"), [tune_ok(0, 0, heartbeat), open("/")].concat()]
}

#[test]
fn a_client_publishes_and_is_confirmed() {
    let confirm = method(1, 85, 10, Args::new().u8(0));
    let steps = [open_channel(1), confirm, publish(1, "x", "k", b"body"), close_channel(1), close_connection()];
    let mut link = link(script(0).into_iter().chain(steps).collect(), None);
    link.run_for_ms(1000);
    assert_eq!(
        link.a().0.got,
        [
            "0 connection.start",
            "0 connection.tune 2047 131072 60",
            "0 connection.open-ok",
            "1 channel.open-ok",
            "1 confirm.select-ok",
            "1 basic.ack 1 0",
            "1 channel.close-ok",
            "0 connection.close-ok",
        ]
    );
    assert_eq!(link.closes().1, Some(&Close::Normal));
}

#[test]
fn silence_is_filled_with_heartbeats_at_half_the_interval() {
    let mut link = link(script(10), Some(4000));
    link.run_for_ms(60_500);
    let beats = link.a().0.got.iter().filter(|line| *line == "heartbeat").count();
    assert_eq!(beats, 12);
    assert_eq!(link.closes(), (None, None), "the client's own heart-beats keep it alive");
}

#[test]
fn a_silent_peer_is_given_up_after_two_intervals() {
    let mut link = link(script(10), None);
    link.run_for_ms(19_900);
    assert_eq!(link.closes().1, None);
    link.run_for_ms(200);
    assert_eq!(link.closes().1, Some(&Close::TimedOut("heartbeat")));
}

#[test]
fn a_heartbeat_of_zero_is_none() {
    let mut link = link(script(0), None);
    link.run_for_ms(10_000_000);
    assert_eq!(link.closes().1, None);
    assert_eq!(link.b().0.deadline(), None);
}

#[test]
fn a_client_that_says_nothing_is_given_up_after_ten_seconds() {
    let mut link = link(vec![], None);
    link.run_for_ms(9_990);
    assert_eq!(link.closes().1, None);
    link.run_for_ms(20);
    assert_eq!(link.closes().1, Some(&Close::TimedOut("handshake")));
}

#[test]
fn bytes_are_bytes() {
    // The pieces above share no code with the machine; this holds them together.
    assert_eq!(Bytes::from(frame(8, 0, b"")), Bytes::from_static(&[8, 0, 0, 0, 0, 0, 0, 0xCE]));
}
