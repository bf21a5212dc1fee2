//! MQTT packets that make sense, from random bytes: names from small pools, so that packets concern each other.

use bytes::BufMut as _;

use crate::methods::Source;

const CLIENTS: [&str; 4] = ["", "a", "b", "a"];
const TOPICS: [&str; 6] = ["t", "a/b", "a/c", "a//b", "", "$x"];
const FILTERS: [&str; 8] = ["t", "#", "a/+", "+/b", "$share/g/#", "$share/g/a/+", "a/#/b", "$share//x"];
/// Properties with values, good and bad.
const PROPERTIES: [&[u8]; 14] = [
    b"\x01\x01",
    b"\x02\0\0\0\x01",
    b"\x03\0\x01x",
    b"\x08\0\x01r",
    b"\x09\0\x01c",
    b"\x0b\x05",
    b"\x11\0\0\0\x02",
    b"\x18\0\0\0\x01",
    b"\x21\0\x01",
    b"\x22\0\x02",
    b"\x23\0\x01",
    b"\x23\0\x02",
    b"\x26\0\x01k\0\x01v",
    b"\x27\0\0\0\x40",
];

/// Bytes that say which packets come, for clients of this protocol level.
pub struct Packets<'a, 'b> {
    pub source: &'b mut Source<'a>,
    pub level: u8,
}

impl Packets<'_, '_> {
    /// One packet.
    pub fn packet(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        match self.source.byte() % 16 {
            0 => self.connect(),
            1 => self.acknowledgement(0x40),
            2 => self.acknowledgement(0x50),
            3 => self.acknowledgement(0x62),
            4 => self.acknowledgement(0x70),
            5..=7 => self.subscribe(),
            8 => self.unsubscribe(),
            9 => whole(0xC0, &body),
            10 => {
                if self.level == 5 {
                    body.push(self.source.pick(&[0, 4, 0x80, 0x18]));
                    self.properties(&mut body);
                }
                whole(0xE0, &body)
            }
            _ => self.publish(),
        }
    }

    /// A CONNECT.
    pub fn connect(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, if self.level == 3 { "MQIsdp" } else { "MQTT" });
        let has_will = self.source.byte() & 1 == 1;
        let flags = self.source.byte() & 2 | if has_will { self.source.byte() & 0b0011_1000 | 4 } else { 0 };
        body.extend([self.level, flags, 0, self.source.byte() & 1]);
        self.properties(&mut body);
        text(&mut body, self.source.pick(&CLIENTS));
        if has_will {
            self.properties(&mut body);
            text(&mut body, self.source.pick(&TOPICS));
            text(&mut body, "will");
        }
        whole(0x10, &body)
    }

    fn publish(&mut self) -> Vec<u8> {
        let flags = self.source.byte() & 0b1111;
        let mut body = Vec::new();
        text(&mut body, self.source.pick(&TOPICS));
        if flags & 0b0110 != 0 {
            self.identifier(&mut body);
        }
        self.properties(&mut body);
        body.extend(self.source.pick::<&[u8]>(&[b"", b"m", b"a longer payload"]));
        whole(0x30 | flags, &body)
    }

    fn acknowledgement(&mut self, first: u8) -> Vec<u8> {
        let mut body = Vec::new();
        self.identifier(&mut body);
        if self.level == 5 && self.source.byte() & 1 == 1 {
            body.push(self.source.pick(&[0, 0x10, 0x80, 0x92]));
        }
        whole(first, &body)
    }

    fn subscribe(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        self.identifier(&mut body);
        self.properties(&mut body);
        for _ in 0..=self.source.byte() % 3 {
            text(&mut body, self.source.pick(&FILTERS));
            body.push(self.source.byte() & if self.level == 5 { 0x2F } else { 3 });
        }
        whole(0x82, &body)
    }

    fn unsubscribe(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        self.identifier(&mut body);
        if self.level == 5 {
            body.push(0);
        }
        text(&mut body, self.source.pick(&FILTERS));
        whole(0xA2, &body)
    }

    fn identifier(&mut self, body: &mut Vec<u8>) {
        body.put_u16(u16::from(self.source.byte() % 5));
    }

    fn properties(&mut self, body: &mut Vec<u8>) {
        if self.level == 5 {
            let count = self.source.byte() % 3;
            let section: Vec<u8> = (0..count).flat_map(|_| self.source.pick(&PROPERTIES).to_vec()).collect();
            body.push(section.len() as u8);
            body.extend(section);
        }
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.put_u16(text.len() as u16);
    body.extend(text.as_bytes());
}

fn whole(first: u8, body: &[u8]) -> Vec<u8> {
    // No packet here is longer than a length of one byte can say.
    let length = body.len().min(127);
    [&[first, length as u8], &body[..length]].concat()
}
