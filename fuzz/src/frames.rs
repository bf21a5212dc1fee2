//! STOMP frames that make sense, from random bytes: names from small pools, so that frames concern each other.

use crate::methods::Source;

const DESTINATIONS: [&str; 12] = [
    "/queue/a",
    "/queue/b",
    "/topic/t.a",
    "/topic/t.>",
    "/topic/#",
    "/exchange/amq.direct/k",
    "/exchange/missing",
    "/amq/queue/a",
    "/temp-queue/t",
    "/queue/a,/topic/t.a",
    "a",
    "/nowhere/a",
];
const SELECTORS: [&str; 6] =
    ["foo = 'a'", "JMSPriority > 3 AND foo LIKE '%a_%'", "foo IS NULL", "foo IN ('a', 'b')", "NOT (foo = 'a'", "1 = 1"];
const IDS: [&str; 3] = ["1", "2", "é:\n"];
/// Further headers, good and bad.
const HEADERS: [&str; 22] = [
    "foo:a",
    "foo:b\\c\\n\\\\",
    "foo:\\t",
    "persistent:true",
    "priority:9",
    "expiration:1",
    "expires:5",
    "AMQ_SCHEDULED_DELAY:700",
    "reply-to:/temp-queue/t",
    "reply-to:/reply-queue/a",
    "content-length:1",
    "content-length:-1",
    "durable:true",
    "auto-delete:true",
    "exclusive:true",
    "x-max-length:2",
    "x-delivery-limit:2",
    "prefetch-count:1",
    "activemq.subscriptionName:s",
    "requeue:false",
    "transaction:t",
    "JMSXGroupID:g",
];

/// Bytes that say which frames come, for a client of this version. It acknowledges by guessing what the broker called its messages.
pub struct Frames<'a, 'b> {
    pub source: &'b mut Source<'a>,
    pub version: &'static str,
    /// The session, as CONNECTED told it.
    pub session: &'b str,
}

impl Frames<'_, '_> {
    /// A CONNECT.
    pub fn connect(&mut self) -> Vec<u8> {
        let beat = self.source.pick(&["", "heart-beat:0,0\n", "heart-beat:500,500\n", "heart-beat:0,1\n"]);
        let frame =
            format!("CONNECT\naccept-version:{}\nlogin:guest\npasscode:guest\nclient-id:c\n{beat}\n\0", self.version);
        frame.into_bytes()
    }

    /// One frame.
    pub fn frame(&mut self) -> Vec<u8> {
        let mut lines = String::new();
        let (verb, body) = match self.source.byte() % 12 {
            0..=3 => {
                lines.push_str(&format!("destination:{}\n", self.source.pick(&DESTINATIONS)));
                ("SEND", self.source.pick(&["", "x", "hello"]))
            }
            4 | 5 => {
                let ack = self.source.pick(&["auto", "client", "client-individual"]);
                let (id, destination) = (self.source.pick(&IDS), self.source.pick(&DESTINATIONS));
                lines.push_str(&format!("id:{}\ndestination:{destination}\nack:{ack}\n", escaped(id)));
                if self.source.byte() % 3 == 0 {
                    lines.push_str(&format!("selector:{}\n", self.source.pick(&SELECTORS)));
                }
                ("SUBSCRIBE", "")
            }
            6 => {
                lines.push_str(&format!("id:{}\n", escaped(self.source.pick(&IDS))));
                ("UNSUBSCRIBE", "")
            }
            7 | 8 => {
                let (id, number) = (self.source.pick(&IDS), self.source.byte() % 8);
                let header = if self.version == "1.2" { "id" } else { "message-id" };
                lines.push_str(&format!("{header}:T_{}@@{}@@{number}\n", escaped(id), self.session));
                (self.source.pick(&["ACK", "NACK"]), "")
            }
            9 | 10 => {
                lines.push_str("transaction:t\n");
                (self.source.pick(&["BEGIN", "COMMIT", "ABORT"]), "")
            }
            _ => (self.source.pick(&["DISCONNECT", "SEND", "NOTHING"]), ""),
        };
        for _ in 0..self.source.byte() % 4 {
            lines.push_str(self.source.pick(&HEADERS));
            lines.push('\n');
        }
        if self.source.byte() % 2 == 0 {
            lines.push_str("receipt:r\n");
        }
        let frame = format!("{verb}\n{lines}\n{body}\0");
        // Many that are the same are a run.
        if self.source.byte() % 8 == 0 { frame.repeat(6).into_bytes() } else { frame.into_bytes() }
    }
}

fn escaped(id: &str) -> String {
    id.replace(':', "\\c").replace('\n', "\\n")
}
