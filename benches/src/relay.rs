//! The floor: reads frames from one socket and writes the same bytes to another, as many at once as are there. No broker.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

/// Most bytes of one read: as many as Crossdock reads at once.
const READ_BYTES: usize = 128 << 10;

/// No frame of a workload is as long.
const FRAME_BYTES_MAX: usize = 192 << 10;

/// Who is connected. What comes in over connection number `i` of `n` goes out over those whose number is `i` modulo `n`.
#[derive(Default)]
struct Roster {
    ins: usize,
    outs: Vec<TcpStream>,
}

/// Relays until it is killed. Between two runs all connections end.
///
/// # Errors
/// It cannot listen on these ports.
pub fn be_relay(in_port: u16, out_port: u16) -> Result<()> {
    let roster = Arc::<Mutex<Roster>>::default();
    let (ins, outs) = (TcpListener::bind(("127.0.0.1", in_port))?, TcpListener::bind(("127.0.0.1", out_port))?);
    let of_outs = roster.clone();
    std::thread::spawn(move || outs.incoming().flatten().for_each(|out| locked(&of_outs).outs.push(out)));
    for stream in ins.incoming() {
        let (stream, roster) = (stream?, roster.clone());
        let number = locked(&roster).ins;
        locked(&roster).ins += 1;
        std::thread::spawn(move || relay(stream, number, &roster));
    }
    Ok(())
}

fn relay(mut from: TcpStream, number: usize, roster: &Mutex<Roster>) {
    let mut buffer = vec![0; FRAME_BYTES_MAX + READ_BYTES];
    let mut kept = 0;
    // Everybody is connected when the first byte comes.
    let mut to: Option<Vec<TcpStream>> = None;
    while let Ok(count @ 1..) = from.read(&mut buffer[kept..kept + READ_BYTES]) {
        let to = to.get_or_insert_with(|| mine(number, &locked(roster)));
        let (length, whole) = (kept + count, whole_frames(&buffer[..kept + count]));
        if to.iter_mut().any(|out| out.write_all(&buffer[..whole]).is_err()) {
            break;
        }
        buffer.copy_within(whole..length, 0);
        kept = length - whole;
    }
    let mut roster = locked(roster);
    roster.ins -= 1;
    if roster.ins == 0 {
        roster.outs.clear();
    }
}

/// Where the last whole frame ends. What is neither AMQP nor MQTT passes as it comes.
fn whole_frames(bytes: &[u8]) -> usize {
    let next = match bytes[0] {
        1..=3 => next_amqp,
        0x30..=0x3f => next_mqtt,
        _ => return bytes.len(),
    };
    let mut at = 0;
    while let Some(end) = next(&bytes[at..]).map(|length| at + length).filter(|end| *end <= bytes.len()) {
        at = end;
    }
    if bytes.len() - at >= FRAME_BYTES_MAX { bytes.len() } else { at }
}

/// Length of the first frame: type, channel, size, payload, end.
fn next_amqp(bytes: &[u8]) -> Option<usize> {
    let size = u32::from_be_bytes(bytes.get(3..7)?.try_into().ok()?);
    Some(size as usize + 8)
}

/// Length of the first packet: type, length in seven-bit groups, the rest.
fn next_mqtt(bytes: &[u8]) -> Option<usize> {
    let groups = bytes.get(1..)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let length = bytes[1..=groups].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
    Some(1 + groups + length)
}

fn mine(number: usize, roster: &Roster) -> Vec<TcpStream> {
    let mine = roster.outs.iter().skip(number).step_by(roster.ins);
    mine.filter_map(|out| {
        out.set_nodelay(true).ok()?;
        out.try_clone().ok()
    })
    .collect()
}

fn locked(roster: &Mutex<Roster>) -> MutexGuard<'_, Roster> {
    roster.lock().unwrap_or_else(PoisonError::into_inner)
}
