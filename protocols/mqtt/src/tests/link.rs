//! A scripted client on the other end of a wire, under virtual time.

use bytes::{Buf, BytesMut};
use crossdock_common::command::Outcome;
use crossdock_common::output::Close;
use crossdock_common::testkit::{Link, Peer};
use crossdock_common::{Command, Event, Instant, Machine, Now, Output};

use super::support::{Core, connect, connect_with, options, publish, subscribe, text};
use crate::packet::{Kind, fixed_header};
use crate::{Connection, Origin};

/// Acknowledges what it gets and, while it is told to, pings every 50 seconds.
#[derive(Default)]
struct Client {
    heard: Vec<Vec<u8>>,
    ping_at: Option<Instant>,
}

impl Client {
    fn kinds(&self) -> Vec<u8> {
        self.heard.iter().map(|packet| packet[0] >> 4).collect()
    }

    fn acknowledge(packet: &[u8], output: &mut Output) {
        let id = |at: usize| [packet[at], packet[at + 1]];
        let topic_end = || 4 + usize::from(u16::from_be_bytes(id(2)));
        let answer = match (packet[0] >> 4, (packet[0] >> 1) & 3) {
            (3, 1) => Some((0x40, id(topic_end()))),
            (3, 2) => Some((0x50, id(topic_end()))),
            (5, _) => Some((0x62, id(2))),
            (6, _) => Some((0x70, id(2))),
            _ => None,
        };
        if let Some((first, [high, low])) = answer {
            output.bytes.buffer().extend_from_slice(&[first, 2, high, low]);
        }
    }
}

impl Machine for Client {
    fn receive(&mut self, _: Now, input: &mut BytesMut, output: &mut Output) {
        while let Ok(Some(header)) = fixed_header(input) {
            if input.len() < header.packet_bytes() {
                return;
            }
            let packet = input[..header.packet_bytes()].to_vec();
            input.advance(packet.len());
            Self::acknowledge(&packet, output);
            self.heard.push(packet);
        }
    }
    fn handle(&mut self, _: Now, _: Event, _: &mut Output) {}
    fn timeout(&mut self, now: Now, output: &mut Output) {
        output.bytes.buffer().extend_from_slice(&[Kind::PingReq.first_byte(), 0]);
        self.ping_at = Some(now.instant.after_ms(50_000));
    }
    fn deadline(&self) -> Option<Instant> {
        self.ping_at
    }
    fn shutdown(&mut self, _: Now, _: &mut Output) {}
    fn end(&mut self, _: Now, _: &mut Output) {}
    fn input_bytes_max(&self) -> usize {
        1 << 20
    }
    fn is_authenticated(&self) -> bool {
        true
    }
}

struct Nobody;

impl Peer for Nobody {
    fn command(&mut self, _: Now, _: Command) -> Vec<Event> {
        Vec::new()
    }
}

fn link(core: Core) -> Link<Client, Nobody, Connection, Core> {
    let now = Now { instant: Instant(1), ..Now::default() };
    Link::new(Client::default(), Nobody, Connection::new(now, options(), Origin::default()), core)
}

fn write(link: &mut Link<Client, Nobody, Connection, Core>, bytes: &[u8]) {
    link.drive_a(|_, _, output| output.bytes.buffer().extend_from_slice(bytes));
    link.run_for_ms(100);
}

#[test]
fn keep_alive() {
    let mut link = link(Core::default());
    write(&mut link, &connect(5, "c"));
    let now = link.now.instant;
    link.a().0.ping_at = Some(now.after_ms(50_000));
    link.run_for_ms(300_010);
    assert_eq!(link.a().0.kinds(), [2, 13, 13, 13, 13, 13, 13]);
    assert_eq!(link.closes(), (None, None));
    link.a().0.ping_at = None;
    link.run_for_ms(91_000);
    assert!(matches!(link.closes().1, Some(Close::TimedOut(_))));
    assert_eq!(link.a().0.heard.last().map(|packet| (packet[0], packet[2])), Some((0xE0, 0x8D)));
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut link = link(Core::default());
    link.run_for_ms(9_999);
    assert_eq!(link.closes().1, None);
    link.run_for_ms(1);
    assert_eq!(link.closes().1, Some(&Close::TimedOut("handshake")));
}

#[test]
fn exactly_once_both_ways() {
    let mut link = link(Core { echoes: true, ..Core::default() });
    write(&mut link, &connect_with(4, 0, &[], &text("c")));
    write(&mut link, &subscribe(4, 1, &[("a/#", 2)]));
    for id in 1..=20 {
        write(&mut link, &publish(0b0100, "a/b", id, None, b"x"));
    }
    let kinds = link.a().0.kinds();
    let count = |kind| kinds.iter().filter(|&&other| other == kind).count();
    assert_eq!([count(3), count(5), count(6), count(7)], [20, 20, 20, 20], "PUBLISH, PUBREC, PUBREL, PUBCOMP");
    let log = &link.b().1.log;
    let published = log.iter().filter(|command| matches!(command, Command::Publish(_))).count();
    let settled = |command: &Command| match command {
        Command::Settle { deliveries, outcome: Outcome::Accepted, .. } => deliveries.len(),
        _ => 0,
    };
    assert_eq!((published, log.iter().map(settled).sum::<usize>()), (20, 20));
    let states = |wanted: bool| {
        let is =
            |command: &&Command| matches!(command, Command::SessionState { value, .. } if value.is_some() == wanted);
        log.iter().filter(is).count()
    };
    assert_eq!((states(true), states(false)), (20, 20), "every state is forgotten in the end");
    let released = log.iter().filter(|command| matches!(command, Command::ReleasePublication { .. })).count();
    assert_eq!(released, 20);
}
