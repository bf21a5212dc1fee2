//! The newest messages of a stream, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::Message;

use crate::definitions::route::AnnouncedBinding;
use crate::shard::entry::message_bytes;

/// A message and its place.
pub(super) struct Newest {
    pub position: u64,
    pub message: Arc<Message>,
    pub binding: Option<AnnouncedBinding>,
}

/// The newest messages without a gap, oldest first.
#[derive(Default)]
pub(super) struct Tail {
    messages: VecDeque<Newest>,
    bytes: u64,
}

impl Tail {
    pub(super) fn push(&mut self, position: u64, message: Arc<Message>, binding: Option<AnnouncedBinding>) {
        self.bytes += message_bytes(&message);
        self.messages.push_back(Newest { position, message, binding });
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes
    }

    /// From here on, all messages are in memory.
    pub(super) fn first(&self) -> Option<u64> {
        self.messages.front().map(|newest| newest.position)
    }

    /// The first message at this place or behind it, if everything from there on is here.
    pub(super) fn at(&self, position: u64) -> Option<&Newest> {
        self.first().filter(|first| *first <= position)?;
        let index = self.messages.partition_point(|newest| newest.position < position);
        self.messages.get(index)
    }

    /// Lets go of what is before `wanted_from`, and of the oldest beyond `bytes_max`.
    pub(super) fn trim(&mut self, wanted_from: u64, bytes_max: u64) {
        while let Some(oldest) = self.messages.front() {
            if oldest.position >= wanted_from && self.bytes <= bytes_max {
                return;
            }
            self.bytes -= message_bytes(&oldest.message);
            self.messages.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        (self.messages, self.bytes) = (VecDeque::new(), 0);
    }
}
