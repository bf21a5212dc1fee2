//! Takes the frames of a client apart, wherever they are cut.

use crate::close::{CloseCode, Violation, close_code};
use crate::header::{CONTROL_BYTES_MAX, Header, MASKED_HEADER_BYTES_MAX, Opcode};
use crate::mask::unmask;
use crate::utf8::Utf8;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest payload of a frame.
    pub frame_bytes_max: u64,
    /// Longest message, all its fragments together.
    pub message_bytes_max: u64,
    /// Text is as good as bytes.
    pub takes_text: bool,
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed, with a code or without.
    Closed(Option<CloseCode>),
    /// The client broke a rule.
    Failed(Violation),
}

/// Takes frames apart where they were read. Payloads go on as they come, whole or not; only headers and control frames are kept
/// until they are whole.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    state: State,
    /// A message of which more frames follow.
    message: Option<Message>,
    end: Option<End>,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; MASKED_HEADER_BYTES_MAX], count: usize },
    Data { left: u64, mask: [u8; 4], is_final: bool },
    Control { opcode: Opcode, payload: [u8; CONTROL_BYTES_MAX], count: usize, length: usize, mask: [u8; 4] },
}

#[derive(Debug)]
struct Message {
    bytes: u64,
    /// What was seen of a text.
    text: Option<Utf8>,
}

impl State {
    const BETWEEN: Self = Self::Header { bytes: [0; MASKED_HEADER_BYTES_MAX], count: 0 };
}

impl Decoder {
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::BETWEEN, message: None, end: None }
    }

    /// Why nothing more comes, if so. What came before was given.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Decodes what was read. The payload of it, if any, stands at the beginning of `bytes` then: so many bytes. `pinged` gets the
    /// payload of each ping.
    pub fn decode(&mut self, bytes: &mut [u8], mut pinged: impl FnMut(&[u8])) -> usize {
        let (mut read, mut written) = (0, 0);
        while read < bytes.len() && self.end.is_none() {
            let step = match &mut self.state {
                State::Header { .. } => self.take_header(&bytes[read..], &mut pinged).map(|taken| (taken, 0)),
                State::Data { .. } => self.take_data(bytes, read, written).map(|taken| (taken, taken)),
                State::Control { .. } => self.take_control(&bytes[read..], &mut pinged).map(|taken| (taken, 0)),
            };
            match step {
                Ok((taken, given)) => {
                    read += taken;
                    written += given;
                }
                Err(violation) => self.end = Some(End::Failed(violation)),
            }
        }
        written
    }

    /// Gives how much of `input` belongs to the header.
    fn take_header(&mut self, input: &[u8], pinged: impl FnMut(&[u8])) -> Result<usize, Violation> {
        let State::Header { bytes, count } = &mut self.state else { return Ok(0) };
        let known = *count;
        let more = input.len().min(bytes.len() - known);
        bytes[known..known + more].copy_from_slice(&input[..more]);
        match Header::parse(&bytes[..known + more])? {
            Some((header, length)) => {
                self.begin(header, pinged)?;
                Ok(length - known)
            }
            None => {
                *count = known + more;
                Ok(more)
            }
        }
    }

    fn begin(&mut self, header: Header, pinged: impl FnMut(&[u8])) -> Result<(), Violation> {
        let Header { is_final, opcode, payload_bytes, mask } = header;
        if opcode.is_control() {
            // Not more than 125: the header says so.
            let length = payload_bytes as usize;
            self.state = State::Control { opcode, payload: [0; CONTROL_BYTES_MAX], count: 0, length, mask };
            return if length == 0 { self.end_control(pinged) } else { Ok(()) };
        }
        match (opcode, &self.message) {
            (Opcode::Continuation, None) => return Err(Violation::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::Interrupted),
            (Opcode::Text, None) if !self.limits.takes_text => return Err(Violation::Text),
            _ => {}
        }
        let text = (opcode == Opcode::Text).then(Utf8::default);
        let message = self.message.get_or_insert(Message { bytes: 0, text });
        message.bytes = message.bytes.saturating_add(payload_bytes);
        if payload_bytes > self.limits.frame_bytes_max || message.bytes > self.limits.message_bytes_max {
            return Err(Violation::TooBig);
        }
        self.state = State::Data { left: payload_bytes, mask, is_final };
        if payload_bytes == 0 { self.end_data(is_final) } else { Ok(()) }
    }

    /// Moves what is there of a payload to where it belongs, and gives how much that is.
    fn take_data(&mut self, bytes: &mut [u8], read: usize, written: usize) -> Result<usize, Violation> {
        let State::Data { left, mask, is_final } = &mut self.state else { return Ok(0) };
        let available = bytes.len() - read;
        let count = usize::try_from(*left).map_or(available, |left| left.min(available));
        bytes.copy_within(read..read + count, written);
        let payload = &mut bytes[written..written + count];
        *mask = unmask(payload, *mask);
        *left -= count as u64;
        let (is_over, is_final) = (*left == 0, *is_final);
        if let Some(Message { text: Some(text), .. }) = &mut self.message
            && !text.take(payload)
        {
            return Err(Violation::NotUtf8);
        }
        if is_over {
            self.end_data(is_final)?;
        }
        Ok(count)
    }

    fn end_data(&mut self, is_final: bool) -> Result<(), Violation> {
        self.state = State::BETWEEN;
        if is_final && let Some(Message { text: Some(mut text), .. }) = self.message.take() {
            return if text.end() { Ok(()) } else { Err(Violation::NotUtf8) };
        }
        Ok(())
    }

    fn take_control(&mut self, input: &[u8], pinged: impl FnMut(&[u8])) -> Result<usize, Violation> {
        let State::Control { payload, count, length, mask, .. } = &mut self.state else { return Ok(0) };
        let taken = input.len().min(*length - *count);
        payload[*count..*count + taken].copy_from_slice(&input[..taken]);
        *mask = unmask(&mut payload[*count..*count + taken], *mask);
        *count += taken;
        if *count == *length {
            self.end_control(pinged)?;
        }
        Ok(taken)
    }

    fn end_control(&mut self, mut pinged: impl FnMut(&[u8])) -> Result<(), Violation> {
        let State::Control { opcode, payload, length, .. } = std::mem::replace(&mut self.state, State::BETWEEN) else {
            return Ok(());
        };
        match opcode {
            Opcode::Ping => pinged(&payload[..length]),
            Opcode::Close => self.end = Some(End::Closed(close_code(&payload[..length])?)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { frame_bytes_max: 1_000, message_bytes_max: 2_000, takes_text: true };
    const BYTES_ONLY: Limits = Limits { takes_text: false, ..LIMITS };

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 4, payload.len() as u8];
        let mut bytes = vec![first];
        match payload.len() {
            short @ ..=125 => bytes.push(0x80 | short as u8),
            wide => {
                bytes.push(0x80 | 126);
                bytes.extend((wide as u16).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// What comes out of pieces: payload, pings, and the end.
    fn decode(limits: Limits, pieces: &[&[u8]]) -> (Vec<u8>, Vec<Vec<u8>>, Option<End>) {
        let (mut decoder, mut payload, mut pings) = (Decoder::new(limits), Vec::new(), Vec::new());
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let count = decoder.decode(&mut bytes, |ping| pings.push(ping.to_vec()));
            payload.extend(&bytes[..count]);
        }
        (payload, pings, decoder.end())
    }

    fn ends(limits: Limits, frames: &[Vec<u8>]) -> Option<End> {
        decode(limits, &[&frames.concat()]).2
    }

    #[test]
    fn every_cut_gives_the_same() {
        let frames = [
            frame(0x02, b"one, "),
            frame(0x89, b""),
            frame(0x00, &[7; 200]),
            frame(0x8a, b"nobody asked"),
            frame(0x80, b" end"),
            frame(0x81, "世界".as_bytes()),
            frame(0x89, b"ping"),
            frame(0x82, b""),
            frame(0x88, b"\x03\xe8bye"),
            b"what comes after a close is nobody's".to_vec(),
        ]
        .concat();
        let whole = decode(LIMITS, &[&frames]);
        let expected = [&b"one, "[..], &[7; 200], b" end", "世界".as_bytes()].concat();
        assert_eq!(whole, (expected, vec![vec![], b"ping".to_vec()], Some(End::Closed(Some(CloseCode::NORMAL)))));
        for cut in 0..frames.len() {
            let (one, other) = frames.split_at(cut);
            assert_eq!(decode(LIMITS, &[one, other]), whole, "{cut}");
        }
        let bytes: Vec<&[u8]> = frames.chunks(1).collect();
        assert_eq!(decode(LIMITS, &bytes), whole);
    }

    #[test]
    fn the_order_of_fragments() {
        for (frames, violation) in [
            (vec![frame(0x80, b"a")], Violation::NothingToContinue),
            (vec![frame(0x02, b"a"), frame(0x82, b"b")], Violation::Interrupted),
            (vec![frame(0x02, b"a"), frame(0x80, b"b"), frame(0x80, b"c")], Violation::NothingToContinue),
            (vec![frame(0x81, b"\xff")], Violation::NotUtf8),
            (vec![frame(0x01, b"\xe4\xb8"), frame(0x80, b"x")], Violation::NotUtf8),
            (vec![frame(0x01, b"\xe4\xb8"), frame(0x80, b"")], Violation::NotUtf8),
            (vec![frame(0x88, b"\x03")], Violation::BadClose),
        ] {
            assert_eq!(ends(LIMITS, &frames), Some(End::Failed(violation)), "{frames:x?}");
        }
        assert_eq!(ends(LIMITS, &[frame(0x01, b"\xe4\xb8"), frame(0x89, b"\xff"), frame(0x80, b"\x96")]), None);
        assert_eq!(ends(BYTES_ONLY, &[frame(0x81, b"a")]), Some(End::Failed(Violation::Text)));
        assert_eq!(ends(LIMITS, &[frame(0x88, b"")]), Some(End::Closed(None)));
    }

    #[test]
    fn frames_and_messages_are_bounded() {
        let failed = Some(End::Failed(Violation::TooBig));
        for (frames, end) in [
            (vec![frame(0x82, &[0; 999])], None),
            (vec![frame(0x82, &[0; 1_000])], None),
            (vec![frame(0x82, &[0; 1_001])], failed),
            (vec![frame(0x02, &[0; 1_000]), frame(0x00, &[0; 999]), frame(0x80, b"")], None),
            (vec![frame(0x02, &[0; 1_000]), frame(0x80, &[0; 1_000])], None),
            (vec![frame(0x02, &[0; 1_000]), frame(0x00, &[0; 1_000]), frame(0x80, b"x")], failed),
            (vec![frame(0x82, &[0; 1_000]), frame(0x82, &[0; 1_000]), frame(0x82, &[0; 1_000])], None),
        ] {
            assert_eq!(ends(LIMITS, &frames), end);
        }
        // 2^63 - 1 bytes are announced: said at once, and nothing is kept for them.
        assert_eq!(ends(LIMITS, &[b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec()]), failed);
    }

    #[test]
    fn what_came_before_a_violation_is_given() {
        let (payload, _, end) = decode(LIMITS, &[&[frame(0x82, b"good"), b"\x82\x04evil".to_vec()].concat()]);
        assert_eq!((payload.as_slice(), end), (&b"good"[..], Some(End::Failed(Violation::Unmasked))));
    }

    proptest! {
        #[test]
        fn random_bytes_give_the_same_however_they_are_cut(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
            let (one, other) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(decode(LIMITS, &[one, other]), decode(LIMITS, &[&bytes]));
        }

        #[test]
        fn messages_come_out_as_they_went_in(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            size in 1_usize..64,
        ) {
            let frames: Vec<u8> = messages.iter().flat_map(|message| frame(0x82, message)).collect();
            let pieces: Vec<&[u8]> = frames.chunks(size).collect();
            prop_assert_eq!(decode(BYTES_ONLY, &pieces), (messages.concat(), vec![], None));
        }
    }
}
