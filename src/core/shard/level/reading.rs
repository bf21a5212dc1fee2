//! Messages of a level that are read back: which are wanted, and where those that come belong.

use std::collections::VecDeque;

use super::{Level, Read, length_bytes};
use crate::log::Location;
use crate::shard::entry::Entry;

impl Level {
    /// Chooses what to read so that about `window_bytes` are here or on their way.
    pub(crate) fn choose(&mut self, window_bytes: u64, chosen: &mut Vec<(u64, Location)>) {
        if self.near_bytes + self.requested_bytes > window_bytes / 2
            && !(self.is_waiting() && self.requested_bytes == 0)
        {
            return;
        }
        self.choose_hollow(window_bytes, chosen);
        // What is in runs comes first.
        while self.runs.is_empty() && self.near_bytes + self.requested_bytes < window_bytes {
            let Some(stored) = self.next_ref() else { return };
            let mut entry = stored.to_entry(self.number);
            entry.requested = true;
            chosen.push((entry.position, stored.location));
            self.near_bytes += entry.memory_bytes();
            self.requested_bytes += length_bytes(&entry);
            self.near.push_back(entry);
        }
    }

    /// Entries that came back without their message; they are at the front.
    fn choose_hollow(&mut self, window_bytes: u64, chosen: &mut Vec<(u64, Location)>) {
        if self.hollow == 0 {
            return;
        }
        let hollow = self.near.iter_mut().filter(|entry| entry.message.is_none() && !entry.requested);
        for entry in hollow {
            let Some(location) = entry.stored else { continue };
            entry.requested = true;
            self.hollow -= 1;
            self.requested_bytes += length_bytes(entry);
            chosen.push((entry.position, location));
            if self.hollow == 0 || self.requested_bytes >= window_bytes / 2 {
                return;
            }
        }
    }

    /// Puts messages that were read where they belong, in order. Those that are not waited for any more are left over.
    pub(crate) fn fill(&mut self, read: &mut [(u64, Option<Read>)], damaged: &mut Vec<Entry>) {
        let mut rest = &mut read[..];
        let mut broken = Vec::new();
        for entry in self.near.iter_mut().filter(|entry| entry.requested && entry.message.is_none()) {
            let Some(index) = rest.iter().position(|(position, _)| *position == entry.position) else { continue };
            self.requested_bytes -= length_bytes(entry);
            self.near_bytes -= entry.memory_bytes();
            entry.requested = false;
            match rest[index].1.take() {
                Some(Read { message, binding, expires_at }) => {
                    (entry.message, entry.binding, entry.expires_at) = (Some(message), binding, expires_at);
                }
                None => {
                    // Counted as hollow until it is taken out below.
                    self.hollow += 1;
                    broken.push(entry.position);
                }
            }
            self.near_bytes += entry.memory_bytes();
            rest = &mut rest[index + 1..];
            if rest.is_empty() {
                break;
            }
        }
        if !broken.is_empty() {
            self.take_out(&broken, damaged);
        }
    }

    fn take_out(&mut self, positions: &[u64], damaged: &mut Vec<Entry>) {
        let near = std::mem::take(&mut self.near);
        let (out, near) = near.into_iter().partition(|entry| positions.contains(&entry.position));
        self.near = near;
        let out: VecDeque<Entry> = out;
        out.iter().for_each(|entry| self.leave(entry));
        damaged.extend(out);
    }
}
