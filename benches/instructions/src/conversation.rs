//! A publisher and a consumer of wire protocols, and the ways of the messages between them.

use crate::peer::Peer;
use crate::probe::{MESSAGES, Probe, Stage};
use crate::world::World;

/// Both sides, ready.
pub struct Conversation {
    pub world: World,
    pub publisher: Peer,
    pub consumer: Peer,
    /// What the publisher says in each round: [`MESSAGES`] messages.
    pub publishes: Vec<u8>,
    /// Bytes of one body: the consumer must see at least so many for each message.
    pub body_bytes: usize,
}

impl Conversation {
    /// Messages go, and nobody says that they came.
    pub fn run(mut self, probe: &mut Probe) {
        probe.rounds(|probe| drop(self.pass(probe)));
    }

    /// `acks` gives the consumer's answer to what it read.
    pub fn run_with_acks(mut self, probe: &mut Probe, mut acks: impl FnMut(&[u8]) -> Vec<u8>) {
        probe.rounds(|probe| {
            let read = self.pass(probe);
            let acks = acks(&read);
            assert!(!acks.is_empty(), "something is acknowledged");
            self.consumer.hear(&acks);
            probe.stage(Stage::DecodeAck, || self.consumer.decode());
            probe.stage(Stage::Settle, || self.consumer.execute());
            self.consumer.talk(&self.world, &[]);
        });
    }

    /// One round's messages; gives what the consumer reads.
    fn pass(&mut self, probe: &Probe) -> bytes::Bytes {
        self.publisher.hear(&self.publishes);
        probe.stage(Stage::Decode, || self.publisher.decode());
        probe.stage(Stage::Core, || self.publisher.execute());
        probe.stage(Stage::Durable, || self.world.make_durable());
        probe.stage(Stage::Confirm, || self.publisher.encode());
        self.publisher.written();
        probe.stage(Stage::Encode, || self.consumer.encode());
        // What needs no acknowledgement is settled by the machine.
        probe.stage(Stage::Settle, || self.consumer.execute());
        let read = self.consumer.written();
        assert!(read.len() > MESSAGES * self.body_bytes, "everything is delivered: {} bytes", read.len());
        read
    }
}
