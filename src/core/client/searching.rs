//! Looking through what is there and stays there: retained messages, and the messages of a queue. Each answer holds a few, and the
//! next one is looked for when the peer has read most of the last.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::command::{Browse, FetchRetained};
use crossdock_common::event::{Reply, RetainedMessages};
use crossdock_common::{Event, Now, Refusal, RequestId};

use super::Client;
use crate::rarely::Rare;
use crate::selector::Selector;
use crate::shard::browse::ShardBrowse;
use crate::shard::command::ShardCommand;

/// Bytes that a connection has not written, from which on it gets no more answers.
const UNWRITTEN_BYTES_MAX: usize = 64 << 10;

/// What is looked for.
pub(super) enum Search {
    Retained(FetchRetained),
    Browse(Browse),
}

/// Questions that are not answered yet.
#[derive(Default)]
pub(super) struct Searches {
    waiting: VecDeque<(RequestId, Search)>,
    /// The first of them is looked on for.
    searching: bool,
    /// A shard looks through a queue for this one: others wait, so that a connection has one such answer in memory.
    browsing: Option<(RequestId, Option<Arc<Selector>>)>,
    /// It has looked through many, and others should have their turn before it does that again.
    has_looked: bool,
}

impl Rare for Searches {
    const NONE: &'static Self = &Self { waiting: VecDeque::new(), searching: false, browsing: None, has_looked: false };
}

impl Searches {
    pub(super) fn are_none(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn must_yield(&mut self) -> bool {
        std::mem::take(&mut self.has_looked)
    }

    /// Nothing is looked for, and nobody has to be told.
    pub(super) fn are_over(&self) -> bool {
        self.waiting.is_empty() && self.browsing.is_none() && !self.has_looked
    }

    pub(super) fn is_browsing(&self, request: RequestId) -> bool {
        self.browsing.as_ref().is_some_and(|(asked, _)| *asked == request)
    }
}

impl Client {
    pub(super) fn search(&mut self, now: Now, request: RequestId, search: Search) {
        self.flush(now);
        self.searches.waiting.push_back((request, search));
        self.serve_search(now);
    }

    /// Goes on with a search that has found nothing yet.
    pub(super) fn search_on(&mut self, now: Now) {
        if self.searches.searching {
            self.serve_search(now);
        }
    }

    /// Answers the next question, unless the peer has much to read already.
    pub(super) fn serve_search(&mut self, now: Now) {
        if self.searches.are_none() {
            return;
        }
        self.searches.searching = false;
        let may_look = self.searches.browsing.is_none() && self.outbox.unwritten_bytes() < UNWRITTEN_BYTES_MAX;
        let Some((request, search)) = self.searches.waiting.pop_front_if(|_| may_look) else { return };
        self.searches.has_looked = true;
        match search {
            Search::Retained(fetch) => self.look_for_retained(now, request, fetch),
            Search::Browse(browse) => {
                if let Err(refusal) = self.look_into_queue(now, request, &browse) {
                    self.answer(request, Err(refusal));
                    self.search_again();
                }
            }
        }
    }

    /// The next question is looked at when others have had their turn.
    fn search_again(&mut self) {
        if !self.searches.waiting.is_empty() {
            self.searches.searching = true;
            self.outbox.wake_always();
        }
    }

    /// Where nothing was found among many keys, others have their turn before it goes on.
    fn look_for_retained(&mut self, now: Now, request: RequestId, mut fetch: FetchRetained) {
        match self.broker.retained(now, &self.who, &fetch) {
            Ok(RetainedMessages { messages, next: Some(next) }) if messages.is_empty() => {
                fetch.after = Some(next);
                self.searches.waiting.push_front((request, Search::Retained(fetch)));
                self.search_again();
            }
            result => {
                let result = result.map(|found| Reply::Retained(Box::new(found)));
                self.outbox.push_counted(Event::Reply { request, result });
            }
        }
    }

    /// The answer comes from the queue's shard.
    fn look_into_queue(&mut self, now: Now, request: RequestId, browse: &Browse) -> Result<(), Refusal> {
        let queue = self.readable(&browse.queue)?;
        let selector = Selector::of(&browse.arguments)?.map(Arc::new);
        self.searches.browsing = Some((request, selector));
        let Browse { after, count_max, .. } = *browse;
        let browse = Box::new(ShardBrowse { outbox: self.outbox.clone(), request, after, count_max });
        self.push(queue, ShardCommand::Browse { queue, browse });
        self.flush(now);
        Ok(())
    }

    /// A shard has looked: the answer keeps what the selector wants. That is found out here and not under the shard's lock, since a
    /// selector may take long.
    pub(super) fn browsed(&mut self, now: Now, event: &mut Event) {
        let selector =
            self.searches.present().and_then(|searches| searches.browsing.take()).and_then(|(_, selector)| selector);
        if let (Some(selector), Event::Reply { result: Ok(Reply::Browsed(found)), .. }) = (selector, &mut *event) {
            found.deliveries.retain(|delivery| selector.matches(&delivery.message));
        }
        self.outbox.count(event);
        self.serve_search(now);
    }
}
