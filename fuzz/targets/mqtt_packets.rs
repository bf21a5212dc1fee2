//! Three clients, one of each version, that say meaningful things in any order, come and go.

#![no_main]

use crossdock_fuzz::methods::Source;
use crossdock_fuzz::packets::Packets;
use crossdock_fuzz::peer::Peer;
use crossdock_instructions::world::{NOW, World};
use crossdock_mqtt::{Connection, ConnectionOptions, Origin};
use libfuzzer_sys::fuzz_target;

const LEVELS: [u8; 3] = [3, 4, 5];

fuzz_target!(|data: &[u8]| {
    let world = World::new();
    let options = || ConnectionOptions { allow_anonymous: true, receive_maximum: 3, ..ConnectionOptions::default() };
    let connect = || Peer::new(&world, Box::new(Connection::new(NOW, options(), Origin::default())));
    let mut peers = LEVELS.map(|_| connect());
    let mut source = Source(data);
    for (peer, level) in peers.iter_mut().zip(LEVELS) {
        peer.hear(&world, &Packets { source: &mut source, level }.connect());
    }
    while !source.is_empty() {
        let byte = source.byte();
        let index = usize::from(byte) % LEVELS.len();
        let (peer, level) = (&mut peers[index], LEVELS[index]);
        match byte / 3 {
            0 => peer.wait(&world, 700),
            1 | 2 => {
                peer.hang_up(&world);
                *peer = connect();
                peer.hear(&world, &Packets { source: &mut source, level }.connect());
            }
            _ => peer.hear(&world, &Packets { source: &mut source, level }.packet()),
        }
        // What one did may concern the others.
        peers.iter_mut().for_each(|peer| peer.wait(&world, 0));
    }
    peers.iter_mut().for_each(|peer| peer.hang_up(&world));
});
