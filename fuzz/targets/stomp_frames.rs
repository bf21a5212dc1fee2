//! Three clients, one of each version, that say meaningful things in any order, come and go.

#![no_main]

use crossdock_fuzz::frames::Frames;
use crossdock_fuzz::methods::Source;
use crossdock_fuzz::peer::Peer;
use crossdock_instructions::world::{NOW, World};
use crossdock_stomp::{Connection, ConnectionOptions};
use libfuzzer_sys::fuzz_target;

const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];

fuzz_target!(|data: &[u8]| {
    let world = World::new();
    let connect = || Peer::new(&world, Box::new(Connection::new(NOW, ConnectionOptions::default())));
    let mut peers = VERSIONS.map(|_| connect());
    let mut source = Source(data);
    // All connections begin with the same seed, so they have the same name.
    let session = session();
    let mut frames = |source: &mut Source<'_>, version, begins: bool| {
        let mut frames = Frames { source, version, session: &session };
        if begins { frames.connect() } else { frames.frame() }
    };
    for (peer, version) in peers.iter_mut().zip(VERSIONS) {
        peer.hear(&world, &frames(&mut source, version, true));
    }
    while !source.is_empty() {
        let byte = source.byte();
        let index = usize::from(byte) % VERSIONS.len();
        let (peer, version) = (&mut peers[index], VERSIONS[index]);
        match byte / 3 {
            0 => peer.wait(&world, 700),
            1 | 2 => {
                peer.hang_up(&world);
                *peer = connect();
                peer.hear(&world, &frames(&mut source, version, true));
            }
            _ => peer.hear(&world, &frames(&mut source, version, false)),
        }
        // What one did may concern the others.
        peers.iter_mut().for_each(|peer| peer.wait(&world, 0));
    }
    peers.iter_mut().for_each(|peer| peer.hang_up(&world));
});

fn session() -> String {
    let seed = ConnectionOptions::default().seed;
    format!("session-{:032x}", crossdock_common::random::Random::from_seed(seed).uuid())
}
