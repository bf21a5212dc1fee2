//! The consumers of a queue, and whose turn it is.

use std::sync::Arc;

use crossdock_common::ConsumerId;
use crossdock_common::event::{Delivery, RunDelivery};
use crossdock_common::names::ConnectionId;

use super::command::{Effects, NewConsumer};
use super::stream::cursor::Cursor;
use super::traffic::Traffic;
use super::wishes::Wishes;
use crate::outbox::Outbox;
use crate::rarely::Rarely;
use crate::selector::Selector;
use crate::window::LaneWindow;

/// A consumer and what it holds.
pub(crate) struct Consumer {
    pub outbox: Arc<Outbox>,
    pub id: ConsumerId,
    pub presettled: bool,
    pub exclusive: bool,
    priority: i32,
    window: u32,
    unsettled: u32,
    pub lane_window: Option<Arc<LaneWindow>>,
    /// It wants these messages only.
    pub selector: Option<Arc<Selector>>,
    /// The bit of that among the queue's wishes; all bits where nobody has one.
    wish: u64,
    /// Of a stream: its place there.
    pub cursor: Option<Box<Cursor>>,
    /// Deliveries of the current batch, sent together.
    outgoing: Vec<Delivery>,
}

/// All consumers of a queue, highest priority first, within a priority in the order in which they came.
#[derive(Default)]
pub(crate) struct Consumers {
    all: Vec<Consumer>,
    turn: usize,
}

impl Consumer {
    fn has_room(&self) -> bool {
        let in_window = self.presettled || self.window == 0 || self.unsettled < self.window;
        in_window && self.outbox.has_room()
    }

    pub(crate) fn priority(&self) -> i32 {
        self.priority
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// Takes room for one delivery, if there is.
    pub(crate) fn acquire(&mut self) -> bool {
        if !self.outbox.has_room() {
            return false;
        }
        if self.presettled {
            return true;
        }
        if self.window != 0 && self.unsettled >= self.window {
            return false;
        }
        if self.lane_window.as_ref().is_some_and(|window| !window.acquire()) {
            return false;
        }
        self.unsettled += 1;
        true
    }

    /// Takes room for up to so many deliveries; says for how many there was.
    pub(crate) fn acquire_up_to(&mut self, count: u64) -> u64 {
        if !self.outbox.has_room() {
            return 0;
        }
        if self.presettled {
            return count;
        }
        let room = if self.window == 0 { u32::MAX } else { self.window.saturating_sub(self.unsettled) };
        let wanted = u32::try_from(count).unwrap_or(u32::MAX).min(room);
        let taken = self.lane_window.as_ref().map_or(wanted, |window| window.acquire_up_to(wanted));
        self.unsettled += taken;
        u64::from(taken)
    }

    /// The other way round.
    fn release(&mut self) {
        if self.unsettled > 0 {
            self.unsettled -= 1;
            self.lane_window.iter().for_each(|window| window.release(1));
        }
    }

    /// It will settle nothing any more that a stream gave it.
    pub(crate) fn release_all(&mut self) {
        while self.cursor.is_some() && self.unsettled > 0 {
            self.release();
        }
    }

    pub(crate) fn send(&mut self, delivery: Delivery) {
        self.outgoing.push(delivery);
    }

    /// Sends a run at once, after what was handed out before.
    pub(crate) fn send_run(&mut self, delivery: RunDelivery, effects: &mut Effects, traffic: &mut Rarely<Traffic>) {
        self.flush(effects, traffic);
        traffic.count_delivered(self.presettled, delivery.run.len());
        self.outbox.deliver_run(delivery);
        effects.wake(&self.outbox);
    }

    fn flush(&mut self, effects: &mut Effects, traffic: &mut Rarely<Traffic>) {
        if !self.outgoing.is_empty() {
            traffic.count_delivered(self.presettled, self.outgoing.len());
            self.outbox.deliver(&mut self.outgoing);
            effects.wake(&self.outbox);
        }
    }

    fn is(&self, connection: ConnectionId, id: ConsumerId) -> bool {
        self.id == id && self.outbox.connection == connection
    }
}

impl Consumers {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Some consumer could take a delivery.
    pub(crate) fn has_room(&self) -> bool {
        self.all.iter().any(Consumer::has_room)
    }

    pub(crate) fn has_exclusive(&self) -> bool {
        self.all.iter().any(|consumer| consumer.exclusive)
    }

    pub(crate) fn add(&mut self, new: NewConsumer, cursor: Option<Box<Cursor>>) {
        let place = self.all.partition_point(|other| other.priority >= new.priority);
        let consumer = Consumer {
            outbox: new.outbox,
            id: new.id,
            presettled: new.presettled,
            exclusive: new.exclusive,
            priority: new.priority,
            window: new.window,
            unsettled: 0,
            lane_window: new.lane_window,
            selector: new.selector,
            wish: u64::MAX,
            cursor,
            outgoing: Vec::new(),
        };
        if self.all.is_empty() {
            // Most queues have one.
            self.all.reserve_exact(1);
        }
        self.all.insert(place, consumer);
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId, id: ConsumerId) -> Option<Consumer> {
        let index = self.all.iter().position(|consumer| consumer.is(connection, id))?;
        Some(self.all.remove(index))
    }

    /// Removes all consumers of a connection; true if there were any.
    pub(crate) fn remove_connection(&mut self, connection: ConnectionId) -> bool {
        let before = self.all.len();
        self.all.retain(|consumer| consumer.outbox.connection != connection);
        self.all.len() != before
    }

    pub(crate) fn set_window(&mut self, connection: ConnectionId, id: ConsumerId, window: u32) {
        if let Some(consumer) = self.all.iter_mut().find(|consumer| consumer.is(connection, id)) {
            consumer.window = window;
        }
    }

    /// The next consumer with room, its room taken: the highest priority first, in turn within a priority. With `single`,
    /// only the first consumer is ever served. `wanted_by` are the wishes that the message fulfils.
    pub(crate) fn next(&mut self, single: bool, wanted_by: u64) -> Option<&mut Consumer> {
        let count = if single { self.all.len().min(1) } else { self.all.len() };
        let mut start = 0;
        while start < count {
            let priority = self.all[start].priority;
            let end = start + self.all[start..count].partition_point(|consumer| consumer.priority == priority);
            if let Some(index) = self.next_within(start, end, wanted_by) {
                return self.all.get_mut(index);
            }
            start = end;
        }
        None
    }

    /// The consumer that gets everything the queue hands out, if there is one.
    pub(crate) fn sole(&mut self, single: bool) -> Option<&mut Consumer> {
        let is_sole = self.all.len() == 1 || single;
        self.turn = if is_sole { 0 } else { self.turn };
        self.all.first_mut().filter(|_| is_sole)
    }

    fn next_within(&mut self, start: usize, end: usize, wanted_by: u64) -> Option<usize> {
        let width = end - start;
        for step in 0..width {
            let index = start + (self.turn + step) % width;
            if self.all[index].wish & wanted_by != 0 && self.all[index].acquire() {
                self.turn = (self.turn + step + 1) % width;
                return Some(index);
            }
        }
        None
    }

    /// What they want; `None` if all want everything.
    pub(crate) fn wishes(&self) -> Option<Wishes> {
        Wishes::of(self.all.iter().map(|consumer| &consumer.selector))
    }

    /// Remembers which of the wishes is each one's.
    pub(crate) fn set_wishes(&mut self, wishes: Option<&Wishes>) {
        for consumer in &mut self.all {
            consumer.wish = wishes.map_or(u64::MAX, |wishes| wishes.bit_of(&consumer.selector));
        }
    }

    /// The wishes of those that have room. With `single`, only the first consumer is ever served.
    pub(crate) fn wishes_with_room(&self, single: bool) -> u64 {
        let served = if single { 1 } else { self.all.len() };
        let with_room = self.all.iter().take(served).filter(|consumer| consumer.has_room());
        with_room.fold(0, |wishes, consumer| wishes | consumer.wish)
    }

    /// So many deliveries of a consumer are settled: it has room again.
    pub(crate) fn release(&mut self, connection: ConnectionId, id: ConsumerId, count: u32) {
        if let Some(consumer) = self.all.iter_mut().find(|consumer| consumer.is(connection, id)) {
            consumer.unsettled = consumer.unsettled.saturating_sub(count);
        }
    }

    /// Sends what was handed out since the last flush.
    pub(crate) fn flush(&mut self, effects: &mut Effects, traffic: &mut Rarely<Traffic>) {
        self.all.iter_mut().for_each(|consumer| consumer.flush(effects, traffic));
    }

    /// A delivery from a stream is settled: whoever had it has room again.
    pub(crate) fn settle_at_cursor(&mut self, number: u32, position: u64) {
        let cursor_of = |consumer: &mut Consumer| {
            consumer.cursor.as_mut().is_some_and(|cursor| cursor.number == number && cursor.settle(position))
        };
        self.all.iter_mut().filter_map(|consumer| cursor_of(consumer).then_some(consumer)).for_each(Consumer::release);
    }

    pub(crate) fn cursor(&mut self, number: u32) -> Option<&mut Cursor> {
        self.all.iter_mut().filter_map(|consumer| consumer.cursor.as_deref_mut()).find(|cursor| cursor.number == number)
    }

    pub(crate) fn cursors(&self) -> impl Iterator<Item = &Cursor> {
        self.all.iter().filter_map(|consumer| consumer.cursor.as_deref())
    }

    /// Deliveries from a stream that are not settled.
    pub(crate) fn unsettled(&self) -> u64 {
        self.all.iter().map(|consumer| u64::from(consumer.unsettled)).sum()
    }

    /// Those that could take a delivery.
    pub(crate) fn with_room(&mut self) -> impl Iterator<Item = &mut Consumer> {
        self.all.iter_mut().filter(|consumer| consumer.has_room())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Consumer> {
        self.all.iter_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.all.iter()
    }
}
