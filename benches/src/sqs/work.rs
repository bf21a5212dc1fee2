//! What connections ask for, one request after the other.

use std::cell::Cell;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::Work;
use super::signature::Signer;

/// When a run ends: after so many answers, or at a moment.
pub struct Limit {
    begun: Cell<usize>,
    answered: Cell<usize>,
    count_max: usize,
    end: Option<Instant>,
}

impl Limit {
    pub fn until(end: Instant) -> Self {
        Self { end: Some(end), ..Self::of(usize::MAX) }
    }

    pub fn of(count_max: usize) -> Self {
        Self { begun: Cell::new(0), answered: Cell::new(0), count_max, end: None }
    }

    /// Answers so far.
    pub fn count(&self) -> usize {
        self.answered.get()
    }

    /// Counts an answer, if there is one; another request may begin.
    fn step(&self, answer: Option<&[u8]>) -> bool {
        self.answered.set(self.answered.get() + usize::from(answer.is_some()));
        let goes_on = self.begun.get() < self.count_max && self.end.is_none_or(|end| Instant::now() < end);
        self.begun.set(self.begun.get() + usize::from(goes_on));
        goes_on
    }
}

/// The same request again and again.
pub struct Sends<'a> {
    pub request: &'a [u8],
    pub limit: &'a Limit,
}

impl Work for Sends<'_> {
    fn next(&mut self, _: usize, answer: Option<&[u8]>) -> Option<&[u8]> {
        self.limit.step(answer).then_some(self.request)
    }
}

/// Receives that have to bring something.
pub struct Receives<'a> {
    pub request: &'a [u8],
    pub limit: &'a Limit,
}

impl Work for Receives<'_> {
    fn next(&mut self, _: usize, answer: Option<&[u8]>) -> Option<&[u8]> {
        assert!(answer.is_none_or(|answer| answer.len() > 100), "an empty receive");
        self.limit.step(answer).then_some(self.request)
    }
}

/// Each connection sends, receives as many as it sent, and deletes what it received.
pub struct Cycle<'a> {
    signer: &'a Signer,
    url: &'a str,
    send: Vec<u8>,
    receive: Vec<u8>,
    limit: &'a Limit,
    next: Vec<Step>,
    deletion: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Step {
    Send,
    Receive,
    Delete,
}

impl<'a> Cycle<'a> {
    pub fn new(
        signer: &'a Signer,
        url: &'a str,
        (send, receive): (Vec<u8>, Vec<u8>),
        connections: usize,
        limit: &'a Limit,
    ) -> Self {
        Self { signer, url, send, receive, limit, next: vec![Step::Send; connections], deletion: Vec::new() }
    }

    /// What deletes the messages of an answer; `None` if there are none.
    fn deletion(&self, received: &[u8]) -> Option<Vec<u8>> {
        let answer: Value = serde_json::from_slice(received).ok()?;
        let messages = answer["Messages"].as_array().filter(|messages| !messages.is_empty())?;
        if let [message] = &messages[..] {
            let body = json!({ "QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"] });
            return Some(self.signer.request("DeleteMessage", &body.to_string()));
        }
        let entry = |(number, message): (usize, &Value)| json!({ "Id": number.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
        let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
        Some(
            self.signer.request("DeleteMessageBatch", &json!({ "QueueUrl": self.url, "Entries": entries }).to_string()),
        )
    }
}

impl Work for Cycle<'_> {
    fn next(&mut self, connection: usize, answer: Option<&[u8]>) -> Option<&[u8]> {
        if !self.limit.step(answer) {
            return None;
        }
        match self.next[connection] {
            Step::Send => {
                self.next[connection] = Step::Receive;
                Some(&self.send)
            }
            Step::Receive => {
                self.next[connection] = Step::Delete;
                Some(&self.receive)
            }
            Step::Delete => {
                // Another connection may have received it: this one asks again.
                let Some(deletion) = self.deletion(answer?) else { return Some(&self.receive) };
                self.deletion = deletion;
                self.next[connection] = Step::Send;
                Some(&self.deletion)
            }
        }
    }
}
