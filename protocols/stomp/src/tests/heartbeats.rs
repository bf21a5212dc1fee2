//! Two ends under virtual time.

use bytes::BytesMut;
use crossdock_common::output::Close;
use crossdock_common::testkit::{Link, Peer};
use crossdock_common::{Command, Event, Instant, Machine, Now, Output};

use super::support::{Core, options};
use crate::Connection;

/// A client that keeps what it reads and sends a line end every so often.
#[derive(Default)]
struct Client {
    read: Vec<(Instant, Vec<u8>)>,
    beat_ms: Option<u64>,
    next: Option<Instant>,
}

impl Machine for Client {
    fn receive(&mut self, now: Now, input: &mut BytesMut, _: &mut Output) {
        self.read.push((now.instant, input.split().to_vec()));
    }
    fn handle(&mut self, _: Now, _: Event, _: &mut Output) {}
    fn timeout(&mut self, now: Now, output: &mut Output) {
        output.bytes.buffer().extend_from_slice(b"\n");
        self.next = self.beat_ms.map(|ms| now.instant.after_ms(ms));
    }
    fn deadline(&self) -> Option<Instant> {
        self.next
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

type Nobody = fn(Now, Command) -> Vec<Event>;

fn link(beats: &str, client: Client) -> Link<Client, Nobody, Connection, Core> {
    let start = Now { instant: Instant(1), ..Now::default() };
    let mut link = Link::new(client, (|_, _| vec![]) as Nobody, Connection::new(start, options()), Core::default());
    let connect = format!("CONNECT\naccept-version:1.2\nlogin:g\nheart-beat:{beats}\n\n\0");
    link.drive_a(|_, _, output| output.bytes.buffer().extend_from_slice(connect.as_bytes()));
    link
}

#[test]
fn an_idle_server_beats_as_agreed() {
    let mut link = link("0,5000", Client::default());
    link.run_for_ms(60_000);
    let read = &link.a().0.read;
    assert!(read.iter().skip(1).all(|(_, bytes)| bytes == b"\n"));
    assert!(read.len() >= 12, "{}", read.len());
    assert!(read.windows(2).all(|pair| pair[1].0.ms_since(pair[0].0) <= 5_000));
}

#[test]
fn a_client_that_beats_is_kept_and_a_silent_one_given_up() {
    let beating = Client { beat_ms: Some(4_000), next: Some(Instant(4_000_000)), ..Client::default() };
    let mut kept = link("4000,0", beating);
    kept.run_for_ms(600_000);
    assert_eq!(kept.closes().1, None);
    let mut silent = link("4000,0", Client::default());
    silent.run_for_ms(7_900);
    assert_eq!(silent.closes().1, None);
    silent.run_for_ms(200);
    assert_eq!(silent.closes().1, Some(&Close::TimedOut("STOMP heart-beat")));
}

#[test]
fn who_does_not_log_in_in_time_is_given_up() {
    let start = Now { instant: Instant(1), ..Now::default() };
    let machine = Connection::new(start, options());
    let mut link = Link::new(Client::default(), (|_, _| vec![]) as Nobody, machine, Core::default());
    link.run_for_ms(9_999);
    assert_eq!(link.closes().1, None);
    link.run_for_ms(2);
    assert_eq!(link.closes().1, Some(&Close::TimedOut("STOMP handshake")));
}

/// The driver calls `receive` again after every event while half a frame is left: that is no sign of life.
#[test]
fn half_a_frame_is_no_sign_of_life() {
    let (now, late) = (Now::default(), Now { instant: Instant(7_999_000), ..Now::default() });
    let mut machine = Connection::new(now, options());
    let mut input = BytesMut::from(&b"CONNECT\nlogin:g\nheart-beat:4000,0\n\n\0SEN"[..]);
    let (mut core, mut output) = (Core::default(), Output::default());
    for _ in 0..3 {
        machine.receive(now, &mut input, &mut output);
        for command in output.commands.split_off(0) {
            core.command(now, command).into_iter().for_each(|event| machine.handle(now, event, &mut output));
        }
    }
    assert_eq!(machine.deadline(), Some(Instant(8_000_000)));
    machine.receive(late, &mut input, &mut output);
    assert_eq!(machine.deadline(), Some(Instant(8_000_000)));
    input.extend_from_slice(b"D");
    machine.receive(late, &mut input, &mut output);
    assert_eq!(machine.deadline(), Some(Instant(15_999_000)));
}
