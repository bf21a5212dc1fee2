//! Two clients that say meaningful things in any order.

#![no_main]

use crossdock_amqp091::{Connection, ConnectionOptions};
use crossdock_fuzz::{
    methods::{self, Source},
    peer::Peer,
};
use crossdock_instructions::world::{NOW, World};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let world = World::new();
    let connect = || Peer::new(&world, Box::new(Connection::new(NOW, ConnectionOptions::default())));
    let mut peers = [connect(), connect()];
    peers.iter_mut().for_each(|peer| peer.hear(&world, &methods::greeting()));
    let mut source = Source(data);
    while !source.is_empty() {
        let byte = source.byte();
        let peer = &mut peers[usize::from(byte & 1)];
        match byte >> 1 {
            0 => peer.wait(&world, 10),
            1 => peer.hang_up(&world),
            _ => peer.hear(&world, &source.frames()),
        }
        // What one did may concern the other.
        peers.iter_mut().for_each(|peer| peer.wait(&world, 0));
    }
    peers.iter_mut().for_each(|peer| peer.hang_up(&world));
});
