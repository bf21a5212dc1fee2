//! What the cursors of a stream have read from the log.

use crossdock_common::names::QueueId;

use crate::log::Location;
use crate::shard::Shard;
use crate::shard::command::Effects;
use crate::shard::reading::{ReadFor, ReadMessage, ReadRequest};
use crate::shard::stored::StoredRef;

impl Shard {
    /// Asks for what the consumers of a stream will get next.
    pub(super) fn read_for_cursors(&mut self, id: QueueId, effects: &mut Effects) {
        let Self { queues, memory, segments, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        let window_bytes = memory.cursor_bytes(queue.consumers.len());
        let tail_first = queue.stream.as_ref().and_then(|stream| stream.tail.first());
        for cursor in queue.consumers.with_room().filter_map(|consumer| consumer.cursor.as_mut()) {
            let (chosen, page) = cursor.choose(&queue.ready, tail_first, window_bytes);
            if !chosen.is_empty() {
                effects.reads.push(ReadRequest::messages(id, chosen, segments).of(ReadFor::Cursor(cursor.number)));
            }
            if let Some(page) = page {
                effects.reads.push(ReadRequest::page(id, page).of(ReadFor::Cursor(cursor.number)));
            }
        }
    }

    /// Gives a cursor the messages that were read for it. Tells how many are wanted and could not be read.
    pub(in crate::shard) fn messages_read_for(
        &mut self,
        (id, cursor): (QueueId, u32),
        found: Vec<(u64, Option<ReadMessage>)>,
    ) -> u64 {
        let Some(queue) = self.queues.get_mut(&id) else { return 0 };
        let Some(cursor) = queue.consumers.cursor(cursor) else { return 0 };
        let read = found.into_iter().map(|(position, read)| cursor.message_read(position, read.map(Into::into)));
        read.filter(|is_read| !is_read).count() as u64
    }

    /// Gives a cursor the page that was read for it. Tells how many pages are wanted and could not be read.
    pub(in crate::shard) fn page_read_for(
        &mut self,
        (id, cursor): (QueueId, u32),
        location: &Location,
        refs: Option<Vec<StoredRef>>,
    ) -> u64 {
        let cursor = self.queues.get_mut(&id).and_then(|queue| queue.consumers.cursor(cursor));
        cursor.map_or(0, |cursor| u64::from(!cursor.page_read(location, refs)))
    }
}
