//! What one message costs the machine alone, in time and allocations: `cargo bench -p crossdock-amqp091`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use crossdock_amqp091::{Connection, ConnectionOptions};
use crossdock_common::event::{Delivery, Principal, Reply};
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::{Command, ConsumerId, Event, Machine, Name, Now, Output, UnixMillis};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// An allocator can't be written without unsafe; both methods pass the caller's own layout on unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BATCH: usize = 400;
const ROUNDS: usize = 5_000;

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 1];
    bytes.put_u32(payload.len() as u32);
    bytes.extend_from_slice(payload);
    bytes.push(0xCE);
    bytes
}

fn publish(body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(1, b"\0\x3c\0\x28\0\0\x06orders\x05eu.de\0");
    let mut header = b"\0\x3c\0\0".to_vec();
    header.put_u64(body.len() as u64);
    header.extend_from_slice(b"\x90\x00\x0atext/plain\x02");
    bytes.extend(frame(2, &header));
    bytes.extend(frame(3, body));
    bytes
}

struct Rig {
    machine: Connection,
    input: BytesMut,
    output: Output,
}

impl Rig {
    fn open() -> Self {
        let machine = Connection::new(Now::default(), ConnectionOptions::default());
        let mut rig = Self { machine, input: BytesMut::new(), output: Output::default() };
        rig.feed(b"AMQP\0\0\x09\x01");
        let start_ok = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x04\0a\0b\x05en_US";
        let mut head = frame(1, start_ok);
        head[1..3].copy_from_slice(&[0, 0]);
        rig.feed(&head);
        for payload in [&b"\0\x0a\0\x1f\0\0\0\0\0\0\0\0"[..], b"\0\x0a\0\x28\x01/\0\0"] {
            let mut bytes = frame(1, payload);
            bytes[1..3].copy_from_slice(&[0, 0]);
            rig.feed(&bytes);
        }
        rig.feed(&frame(1, b"\0\x14\0\x0a\0"));
        rig.feed(&frame(1, b"\0\x3c\0\x14\0\0\x01q\x01c\0\0\0\0\0"));
        rig
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.machine.receive(Now::default(), &mut self.input, &mut self.output);
        for command in std::mem::take(&mut self.output.commands) {
            let event = match command {
                Command::Authenticate { request, .. } => {
                    let principal = Principal { name: Name::from("a"), tags: vec![] };
                    Event::Authenticated { request, result: Ok(principal) }
                }
                Command::Open { request, .. } | Command::Subscribe { request, .. } => {
                    Event::Reply { request, result: Ok(Reply::Done) }
                }
                _ => continue,
            };
            self.machine.handle(Now::default(), event, &mut self.output);
        }
        self.drain();
        assert!(self.output.close.is_none());
    }

    fn drain(&mut self) {
        let written = self.output.bytes.len();
        self.output.bytes.advance(written);
    }
}

fn measure(what: &str, mut round: impl FnMut()) {
    round();
    let (start, allocations) = (Instant::now(), ALLOCATIONS.get());
    for _ in 0..ROUNDS {
        round();
    }
    let messages = (ROUNDS * BATCH) as f64;
    let nanoseconds = start.elapsed().as_nanos() as f64 / messages;
    let allocations = (ALLOCATIONS.get() - allocations) as f64 / messages;
    println!("{what:<28} {nanoseconds:7.1} ns/message {allocations:6.2} allocations/message");
}

fn main() {
    for size in [16, 256, 1024] {
        let bytes = publish(&vec![b'x'; size]).repeat(BATCH);
        let mut rig = Rig::open();
        measure(&format!("publish {size} bytes"), || {
            rig.input.extend_from_slice(&bytes);
            rig.machine.receive(Now::default(), &mut rig.input, &mut rig.output);
            assert_eq!(rig.output.commands.len(), BATCH);
            black_box(&rig.output.commands);
            rig.output.commands.clear();
        });
    }
    let mut rig = Rig::open();
    rig.input.extend_from_slice(&publish(&[b'x'; 256]));
    rig.machine.receive(Now::default(), &mut rig.input, &mut rig.output);
    let Some(Command::Publish(message)) = rig.output.commands.pop() else { return };
    let (mut position, mut tag) = (0, 0u64);
    measure("deliver and ack 256 bytes", || {
        let deliveries = (0..BATCH).map(|_| {
            position += 1;
            Delivery {
                consumer: ConsumerId(1),
                id: DeliveryId { queue: QueueId(1), position, lease: 0 },
                message: message.message.clone(),
                delivery_count: 0,
                is_counted: false,
                first_delivered_at: UnixMillis(0),
                expires_at: None,
                binding: None,
                stream_offset: None,
            }
        });
        rig.machine.handle(Now::default(), Event::Deliver(deliveries.collect()), &mut rig.output);
        rig.drain();
        for _ in 0..BATCH {
            tag += 1;
            rig.input.put_slice(b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50");
            rig.input.put_u64(tag);
            rig.input.put_slice(b"\0\xce");
        }
        rig.machine.receive(Now::default(), &mut rig.input, &mut rig.output);
        assert_eq!(rig.output.commands.len(), 1);
        rig.output.commands.clear();
    });
}
