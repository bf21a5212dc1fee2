//! Any bytes, before and after login.

#![no_main]

use crossdock_amqp091::{Connection, ConnectionOptions};
use crossdock_fuzz::{methods, peer::Peer};
use crossdock_instructions::world::{NOW, World};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let world = World::new();
    let mut peer = Peer::new(&world, Box::new(Connection::new(NOW, ConnectionOptions::default())));
    let [how, data @ ..] = data else { return };
    if how & 1 == 1 {
        peer.hear(&world, &methods::greeting());
    }
    // In pieces: a frame may be cut anywhere.
    data.chunks(usize::from(how >> 1) + 1).for_each(|piece| peer.hear(&world, piece));
    peer.hang_up(&world);
});
