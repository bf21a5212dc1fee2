//! The shape of a protocol machine.

use bytes::BytesMut;

use crate::{Description, Event, Instant, Now, Output};

/// One side of one connection of one protocol, without a socket, a clock or a queue.
///
/// # Calling order
/// The driver calls [`receive`](Machine::receive) whenever bytes arrived, [`handle`](Machine::handle) for every event of
/// the core, [`timeout`](Machine::timeout) when [`deadline`](Machine::deadline) has passed, and after each of them drains
/// the [`Output`]: commands to the core, bytes to the peer, and the close if one is wished. After a close no call follows.
/// [`end`](Machine::end) is called once when the peer is gone without a goodbye; only its commands are looked at.
///
/// A machine that waits for an answer of the core (authentication, a generated name) may leave whole frames in the input;
/// `receive` is called again after every `handle` as long as input is left.
///
/// # Bad input
/// Never panics: the machine writes its protocol's own error and sets [`Output::close`].
pub trait Machine: Send {
    /// Decodes *all* whole frames in `input` and removes them; what is left is the beginning of a frame.
    ///
    /// The machine reserves nothing for a frame before its length is checked against the limits.
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output);

    /// Takes one event of the core.
    fn handle(&mut self, now: Now, event: Event, output: &mut Output);

    /// The deadline has passed: heart-beats are sent, silent peers are given up.
    fn timeout(&mut self, now: Now, output: &mut Output);

    /// The driver has not read from the peer for a while, until now: the peer's silence is not its fault and begins anew. A machine that
    /// gives up nobody need not care.
    fn unheard(&mut self, _now: Now) {}

    /// The peer has said something beneath the protocol lately, which only its transport understands: a WebSocket ping. A machine whose
    /// heart-beats are any traffic counts it as one.
    fn heard_beneath(&mut self, _now: Now) {}

    /// When [`timeout`](Machine::timeout) wants to be called next.
    fn deadline(&self) -> Option<Instant>;

    /// The broker drains: say goodbye in the protocol's own way.
    fn shutdown(&mut self, now: Now, output: &mut Output);

    /// What there is to say about the connection.
    fn describe(&self) -> Description {
        Description::default()
    }

    /// The peer closed or broke the connection without a goodbye.
    fn end(&mut self, now: Now, output: &mut Output);

    /// How many undecoded bytes the driver may hold: it reads no further while there are as many. Enough for the frame
    /// that has begun, once its length was checked against the limits.
    fn input_bytes_max(&self) -> usize;

    /// Whether the peer has published something that the core has not seen: it is in an open transaction. Such a peer is stopped
    /// with the other publishers.
    fn publishes(&self) -> bool {
        false
    }

    /// Whether credentials were accepted: until then the driver keeps the small budgets of an unknown peer.
    fn is_authenticated(&self) -> bool;
}
