//! AMQP 0-9-1 frames that mean something, made of random bytes: names come from a few, so that frames concern each other.

use bytes::BufMut as _;

const EXCHANGES: [&str; 8] = ["", "amq.direct", "amq.topic", "amq.headers", "e1", "e2", "delayed", "hash"];
const KINDS: [&str; 8] =
    ["direct", "fanout", "topic", "headers", "x-delayed-message", "x-consistent-hash", "x-random", "odd"];
const QUEUES: [&str; 6] = ["", "q1", "q2", "q3", "amq.rabbitmq.reply-to", "amq.gen-1"];
const KEYS: [&str; 8] = ["", "q1", "q2", "1", "a.b", "a.*", "#", "#.#.#.#.a.#"];
/// Arguments: name, type and value.
const ARGUMENTS: [&[u8]; 14] = [
    b"\x0dx-message-ttlI\0\0\0\x05",
    b"\x09x-expiresI\0\0\0\x05",
    b"\x0cx-max-lengthI\0\0\0\x02",
    b"\x0ax-overflowS\0\0\0\x0ereject-publish",
    b"\x0ex-max-priorityI\0\0\0\x03",
    b"\x16x-dead-letter-exchangeS\0\0\0\0",
    b"\x19x-dead-letter-routing-keyS\0\0\0\x02q1",
    b"\x18x-single-active-consumert\x01",
    b"\x0cx-queue-typeS\0\0\0\x06quorum",
    b"\x0cx-queue-typeS\0\0\0\x06stream",
    b"\x10x-delivery-limitI\0\0\0\x01",
    b"\x0ex-delayed-typeS\0\0\0\x06direct",
    b"\x12alternate-exchangeS\0\0\0\x02e2",
    b"\x07x-matchS\0\0\0\x03any",
];
/// Header frames' flags and properties.
const PROPERTIES: [&[u8]; 7] = [
    b"\0\0",
    b"\x10\0\x02",
    b"\x01\0\x015",
    b"\x08\0\x03",
    b"\x02\0\x15amq.rabbitmq.reply-to",
    b"\x20\0\0\0\0\x0c\x07x-delayI\0\0\0\x01",
    b"\x20\0\0\0\0\x15\x02CCA\0\0\0\x0eS\0\0\0\x02q1S\0\0\0\x02q2",
];

/// Random bytes, of which frames are made until there are no more.
pub struct Source<'a>(pub &'a [u8]);

impl Source<'_> {
    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Whether there is no more.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// So many bytes, or what is left, as a text.
    pub fn text(&mut self, bytes: usize) -> String {
        let (first, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        String::from_utf8_lossy(first).into_owned()
    }

    fn table(&mut self) -> Vec<u8> {
        let count = self.byte() % 4;
        let fields: Vec<u8> = (0..count).flat_map(|_| self.pick(&ARGUMENTS).to_vec()).collect();
        let mut table = (fields.len() as u32).to_be_bytes().to_vec();
        table.extend(fields);
        table
    }

    /// One frame, or a publish of three.
    pub fn frames(&mut self) -> Vec<u8> {
        let channel = u16::from(self.byte() % 4);
        let what = self.byte() % 32;
        let mut out = Vec::new();
        match what {
            0 => self.method(&mut out, channel, (20, 10), |_, out| out.put_u8(0)),
            1 => self.method(&mut out, channel, (20, 40), |_, out| out.put_slice(&[0, 200, 0, 0, 0, 0, 0])),
            2 => self.method(&mut out, channel, (20, 41), |_, _| {}),
            3 => self.method(&mut out, channel, (40, 10), Self::declare_exchange),
            4 => self.method(&mut out, channel, (40, 20), |source, out| source.names(out, &[&EXCHANGES], true)),
            5 | 6 => {
                let number = if what == 5 { 30 } else { 40 };
                self.method(&mut out, channel, (40, number), |source, out| {
                    source.names(out, &[&EXCHANGES, &EXCHANGES, &KEYS], true);
                    out.put_slice(&source.table());
                });
            }
            7 => self.method(&mut out, channel, (50, 10), |source, out| {
                source.names(out, &[&QUEUES], true);
                out.put_slice(&source.table());
            }),
            8 => self.method(&mut out, channel, (50, 20), |source, out| {
                source.names(out, &[&QUEUES, &EXCHANGES, &KEYS], true);
                out.put_slice(&source.table());
            }),
            9 => self.method(&mut out, channel, (50, 50), |source, out| {
                source.names(out, &[&QUEUES, &EXCHANGES, &KEYS], false);
                out.put_slice(&source.table());
            }),
            10 => self.method(&mut out, channel, (50, 30), |source, out| source.names(out, &[&QUEUES], true)),
            11 => self.method(&mut out, channel, (50, 40), |source, out| source.names(out, &[&QUEUES], true)),
            12 => self.method(&mut out, channel, (60, 10), |source, out| {
                out.put_slice(&[0, 0, 0, 0, 0, source.byte() % 4, source.byte() & 1]);
            }),
            13 => self.method(&mut out, channel, (60, 20), |source, out| {
                source.names(out, &[&QUEUES, &["", "c1", "c2"]], true);
                out.put_slice(&source.table());
            }),
            14 => self.method(&mut out, channel, (60, 30), |source, out| {
                short(out, source.pick(&["c1", "c2"]));
                out.put_u8(source.byte() & 1);
            }),
            15 => self.method(&mut out, channel, (60, 70), |source, out| source.names(out, &[&QUEUES], true)),
            16 => self.method(&mut out, channel, (60, 80), Self::tag),
            17 => self.method(&mut out, channel, (60, 120), Self::tag),
            18 => self.method(&mut out, channel, (60, 90), Self::tag),
            19 => self.method(&mut out, channel, (60, 110), |source, out| out.put_u8(source.byte() & 1)),
            20 => self.method(&mut out, channel, (85, 10), |source, out| out.put_u8(source.byte() & 1)),
            21..=23 => self.method(&mut out, channel, (90, u16::from(what - 20) * 10), |_, _| {}),
            24 => self.header(&mut out, channel),
            25 => self.body(&mut out, channel),
            26 => frame(&mut out, 8, 0, &[]),
            27 => self.method(&mut out, 0, (10, 50), |_, out| out.put_slice(&[0, 200, 0, 0, 0, 0, 0])),
            _ => {
                self.method(&mut out, channel, (60, 40), |source, out| {
                    source.names(out, &[&EXCHANGES, &KEYS], true);
                });
                self.header(&mut out, channel);
                self.body(&mut out, channel);
            }
        }
        out
    }

    fn method(
        &mut self,
        out: &mut Vec<u8>,
        channel: u16,
        (class, number): (u16, u16),
        arguments: impl FnOnce(&mut Self, &mut Vec<u8>),
    ) {
        let mut payload = [class.to_be_bytes(), number.to_be_bytes()].concat();
        arguments(self, &mut payload);
        frame(out, 1, channel, &payload);
    }

    /// A reserved number, names, and flags if there are any.
    fn names(&mut self, out: &mut Vec<u8>, names: &[&[&str]], has_flags: bool) {
        out.put_u16(0);
        for pool in names {
            short(out, self.pick(pool));
        }
        if has_flags {
            out.put_u8(self.byte() & 0x1f);
        }
    }

    fn declare_exchange(&mut self, out: &mut Vec<u8>) {
        self.names(out, &[&EXCHANGES, &KINDS], true);
        let table = self.table();
        out.put_slice(&table);
    }

    fn tag(&mut self, out: &mut Vec<u8>) {
        out.put_u64(u64::from(self.byte() % 6));
        out.put_u8(self.byte() & 3);
    }

    fn header(&mut self, out: &mut Vec<u8>, channel: u16) {
        let size = u64::from(self.byte() % 3);
        let payload = [&[0, 60, 0, 0][..], &size.to_be_bytes(), self.pick(&PROPERTIES)].concat();
        frame(out, 2, channel, &payload);
    }

    fn body(&mut self, out: &mut Vec<u8>, channel: u16) {
        let size = usize::from(self.byte() % 3);
        frame(out, 3, channel, &[b'x'; 2][..size]);
    }
}

fn short(out: &mut Vec<u8>, text: &str) {
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

/// Appends a frame.
pub fn frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.put_u8(kind);
    out.put_u16(channel);
    out.put_u32(payload.len() as u32);
    out.put_slice(payload);
    out.put_u8(0xce);
}

/// What a client says until it is in, with channel 1 open.
pub fn greeting() -> Vec<u8> {
    let mut out = b"AMQP\0\0\x09\x01".to_vec();
    frame(&mut out, 1, 0, b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x09\0guest\0pw\x05en_US");
    frame(&mut out, 1, 0, b"\0\x0a\0\x1f\0\0\0\0\0\0\0\0");
    frame(&mut out, 1, 0, b"\0\x0a\0\x28\x01/\0\0");
    frame(&mut out, 1, 1, b"\0\x14\0\x0a\0");
    out
}
