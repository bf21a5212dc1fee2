//! Any bytes, cut anywhere, as frames: what comes out is the same however they are cut, and no more than what went in.

#![no_main]

use crossdock_websocket::{Decoder, End, Limits, StompFrames};
use libfuzzer_sys::fuzz_target;

type Decoded = (Vec<u8>, Vec<Vec<u8>>, Option<End>);

fn decode<'a>(takes_text: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(Limits { frame_bytes_max: 1 << 20, message_bytes_max: 2 << 20, takes_text });
    let (mut payload, mut pings) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let count = decoder.decode(&mut bytes, |ping| pings.push(ping.to_vec()));
        assert!(count <= piece.len());
        payload.extend(&bytes[..count]);
    }
    (payload, pings, decoder.end())
}

fuzz_target!(|data: &[u8]| {
    let [settings, data @ ..] = data else { return };
    let (takes_text, piece_bytes) = (settings & 1 != 0, usize::from(settings >> 1) + 1);
    let whole = decode(takes_text, std::iter::once(data));
    let in_pieces = decode(takes_text, data.chunks(piece_bytes));
    // A text that ends in a bad character is given up to the piece where that is seen.
    assert_eq!((&whole.1, whole.2), (&in_pieces.1, in_pieces.2));
    assert!(in_pieces.0.starts_with(&whole.0) || whole.0.starts_with(&in_pieces.0));
    let frames: Vec<_> = StompFrames::new(data.chunks(piece_bytes)).collect();
    assert_eq!(frames, StompFrames::new(std::iter::once(data)).collect::<Vec<_>>());
    assert!(frames.iter().map(|frame| frame.bytes).sum::<usize>() <= data.len());
});
