//! Any bytes, cut anywhere.

#![no_main]

use crossdock_fuzz::peer::Peer;
use crossdock_instructions::world::{NOW, World};
use crossdock_mqtt::{Connection, ConnectionOptions, Origin};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let world = World::new();
    let mut peer = Peer::new(&world, Box::new(Connection::new(NOW, ConnectionOptions::default(), Origin::default())));
    let [piece_bytes, data @ ..] = data else { return };
    data.chunks(usize::from(*piece_bytes) + 1).for_each(|piece| peer.hear(&world, piece));
    peer.hang_up(&world);
});
