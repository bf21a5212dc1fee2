//! Plays one sequence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::corpus::{Sequence, word, words};
use super::pattern::Pattern;

/// Nothing takes so long, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker.
pub trait Target {
    /// Where it speaks this version of MQTT.
    fn port(&self, version: u8) -> u16;
    /// Kills it and starts it again.
    fn restart(&self);
    /// How long to wait for a packet.
    fn patience(&self) -> Duration {
        PATIENCE
    }
    /// What every CONNECT says in place of no keep-alive.
    fn keep_alive(&self) -> Option<u16> {
        None
    }
}

struct Player<'a, T> {
    target: &'a T,
    version: u8,
    clients: BTreeMap<String, Client>,
}

struct Client {
    stream: TcpStream,
    /// The packet identifiers of the messages that came: `id1` in a packet stands for the first.
    identifiers: Vec<u16>,
    /// What came while something else was waited for.
    waiting: VecDeque<Vec<u8>>,
}

/// Plays a sequence; what went wrong names it.
pub fn play(target: &impl Target, sequence: &Sequence) -> Result<(), String> {
    let mut player = Player { target, version: sequence.version, clients: BTreeMap::new() };
    for (index, step) in sequence.steps.iter().enumerate() {
        player.step(step).map_err(|error| format!("{} step {index} {step}: {error}", sequence.id))?;
    }
    Ok(())
}

impl<T: Target> Player<'_, T> {
    fn step(&mut self, step: &Value) -> Result<(), String> {
        if let Some(ms) = step["pause_ms"].as_u64() {
            crate::support::pause(Duration::from_millis(ms));
            return Ok(());
        }
        if step["restart"].as_bool() == Some(true) {
            self.clients.clear();
            self.target.restart();
            return Ok(());
        }
        if step["between"].is_array() {
            return self.between(&words(&step["between"]), step["count"].as_u64().ok_or("no count")?);
        }
        let (who, version) = (word(&step["on"]), self.version);
        if let Some(hex) = step["send"].as_str() {
            let keep_alive = self.target.keep_alive();
            let client = self.client(&who)?;
            let mut data = bytes(&client.resolve(hex));
            keep_alive.into_iter().for_each(|seconds| keep_alive_in(&mut data, seconds));
            return client.send(&data);
        }
        if step["drop"].as_bool() == Some(true) {
            self.clients.remove(&who).ok_or("never connected")?.leave();
            return Ok(());
        }
        if step["closed"].as_bool() == Some(true) {
            return self.clients.remove(&who).ok_or("never connected")?.closed();
        }
        let client = self.client(&who)?;
        if let Some(pattern) = step["expect"].as_str() {
            let without = step["without"].as_str().map(Pattern::parse);
            return client.expect(&Pattern::parse(&client.resolve(pattern)), without.as_ref(), version);
        }
        if step["expect_all"].is_array() {
            return client.expect_all(&words(&step["expect_all"]), version);
        }
        if let Some(count) = step["distinct_identifiers"].as_u64() {
            return client.distinct_identifiers(count);
        }
        client.acknowledge(step["acknowledge"].as_u64().ok_or("no such step")?)
    }

    /// So many messages come to these clients together, and each gets some.
    fn between(&mut self, clients: &[String], count: u64) -> Result<(), String> {
        let mut counts = vec![0; clients.len()];
        let start = Instant::now();
        while counts.iter().sum::<u64>() < count && start.elapsed() < self.target.patience() {
            for (who, found) in clients.iter().zip(&mut counts) {
                *found += self.client(who)?.count_messages()?;
            }
        }
        let is_fair = counts.iter().all(|found| *found > 0) && counts.iter().sum::<u64>() == count;
        if is_fair { Ok(()) } else { Err(format!("got {counts:?}")) }
    }

    fn client(&mut self, who: &str) -> Result<&mut Client, String> {
        if !self.clients.contains_key(who) {
            let stream =
                TcpStream::connect(("127.0.0.1", self.target.port(self.version))).map_err(|error| error.to_string())?;
            stream.set_read_timeout(Some(self.target.patience())).map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            self.clients.insert(who.to_owned(), Client { stream, identifiers: Vec::new(), waiting: VecDeque::new() });
        }
        self.clients.get_mut(who).ok_or_else(|| "never connected".to_owned())
    }
}

impl Client {
    /// What cannot be sent because the broker has closed shows when something is expected.
    fn send(&mut self, data: &[u8]) -> Result<(), String> {
        match self.stream.write_all(data) {
            Err(error) if !is_end(error.kind()) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn packet(&mut self) -> Result<Vec<u8>, String> {
        let packet = match self.waiting.pop_front() {
            Some(packet) => packet,
            None => self.next_packet()?,
        };
        let found = identifier(&packet);
        // PUBREL of a message that came to an earlier connection.
        let is_known = packet[0] == 0x62 && found.is_some_and(|found| self.identifiers.contains(&found));
        self.identifiers.extend(found.filter(|_| !is_known));
        Ok(packet)
    }

    fn next_packet(&mut self) -> Result<Vec<u8>, String> {
        let mut packet = vec![self.byte()?];
        let mut length = 0usize;
        for place in 0..4 {
            let byte = self.byte()?;
            packet.push(byte);
            length |= usize::from(byte & 127) << (7 * place);
            if byte < 128 {
                break;
            }
        }
        let start = packet.len();
        packet.resize(start + length, 0);
        self.stream.read_exact(&mut packet[start..]).map_err(|error| error.to_string())?;
        Ok(packet)
    }

    /// Replaces `id1 id1` by the two bytes of the first PUBLISH's packet identifier.
    fn resolve(&self, text: &str) -> String {
        let mut is_low = true;
        let word = |word: &str| {
            let Some(number) = word.strip_prefix("id").and_then(|number| number.parse::<usize>().ok()) else {
                return word.to_owned();
            };
            let found = self.identifiers.get(number.wrapping_sub(1)).copied().unwrap_or_default().to_be_bytes();
            is_low = !is_low;
            format!("{:02x}", found[usize::from(is_low)])
        };
        text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).map_err(|error| format!("no packet: {error}"))?;
        Ok(byte[0])
    }

    fn expect(&mut self, pattern: &Pattern, without: Option<&Pattern>, version: u8) -> Result<(), String> {
        let packet = self.packet()?;
        let is_wrong = without.is_some_and(|without| without.matches(&packet, version));
        if pattern.matches(&packet, version) && !is_wrong { Ok(()) } else { Err(format!("came {}", hex(&packet))) }
    }

    /// How many PUBLISHes have come.
    fn count_messages(&mut self) -> Result<u64, String> {
        self.send(&[0xc0, 0])?;
        let mut count = 0;
        while self.packet()? != [0xd0, 0] {
            count += 1;
        }
        Ok(count)
    }

    /// Packets in any order.
    fn expect_all(&mut self, patterns: &[String], version: u8) -> Result<(), String> {
        let mut wanted: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::parse(pattern)).collect();
        while !wanted.is_empty() {
            let packet = self.packet()?;
            let found = wanted.iter().position(|pattern| pattern.matches(&packet, version));
            wanted.remove(found.ok_or_else(|| format!("came {}", hex(&packet)))?);
        }
        Ok(())
    }

    /// PUBLISHes with so many different packet identifiers come before any is acknowledged.
    fn distinct_identifiers(&mut self, count: u64) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for _ in 0..count {
            found.extend(identifier(&self.packet()?));
        }
        let all_are_good = found.len() as u64 == count && !found.contains(&0);
        if all_are_good { Ok(()) } else { Err(format!("identifiers {found:?}")) }
    }

    /// Acknowledges the last PUBLISH as its QoS wants it.
    fn acknowledge(&mut self, qos: u64) -> Result<(), String> {
        let last = self.identifiers.last().ok_or("no PUBLISH to acknowledge")?;
        let [high, low] = last.to_be_bytes();
        if qos == 1 {
            return self.send(&[0x40, 2, high, low]);
        }
        self.send(&[0x50, 2, high, low])?;
        let pubrel = [0x62, 2, high, low];
        match self.waiting.iter().position(|packet| *packet == pubrel) {
            Some(place) => drop(self.waiting.remove(place)),
            None => self.wait_for(&pubrel)?,
        }
        self.send(&[0x70, 2, high, low])
    }

    fn wait_for(&mut self, wanted: &[u8]) -> Result<(), String> {
        loop {
            let packet = self.next_packet()?;
            if packet == wanted {
                return Ok(());
            }
            self.waiting.push_back(packet);
        }
    }

    /// Ends without a goodbye, and waits until the broker has seen that: what comes next must not meet it in between.
    fn leave(mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let _ = self.stream.read_to_end(&mut Vec::new());
    }

    /// Nothing comes but the end.
    fn closed(mut self) -> Result<(), String> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) if rest.is_empty() => Ok(()),
            Err(error) if is_end(error.kind()) && rest.is_empty() => Ok(()),
            Ok(_) => Err(format!("came {} before the end", hex(&rest))),
            Err(error) => Err(format!("not closed: {error} {}", hex(&rest))),
        }
    }
}

/// Lets a good CONNECT say a keep-alive if it says none.
fn keep_alive_in(data: &mut [u8], seconds: u16) {
    let Some(name) = data.windows(6).take(6).position(|found| found == b"\x00\x04MQTT") else { return };
    let place = name + 8;
    if data[0] == 0x10 && data.get(place..place + 2) == Some(&[0, 0]) {
        data[place..place + 2].copy_from_slice(&seconds.to_be_bytes());
    }
}

/// The packet identifier of a PUBLISH with QoS 1 or 2, or of a PUBREL.
fn identifier(packet: &[u8]) -> Option<u16> {
    if let [0x62, _, high, low, ..] = packet {
        return Some(u16::from_be_bytes([*high, *low]));
    }
    if packet[0] >> 4 != 3 || packet[0] & 0b110 == 0 {
        return None;
    }
    let length_bytes = 1 + packet.iter().skip(1).take_while(|byte| **byte >= 128).count();
    let two = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let topic_at = 1 + length_bytes;
    two(topic_at + 2 + usize::from(two(topic_at)?))
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|word| u8::from_str_radix(word, 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
