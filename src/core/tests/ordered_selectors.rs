//! Consumers that want only some messages of a queue with priorities, or with message groups. A message's body is its color.

use std::collections::VecDeque;

use crossdock_common::command::Outcome;
use crossdock_common::definition::{Definition, Fifo, QueueSettings, QueueSpec};
use crossdock_common::event::Delivery;
use crossdock_common::random::Random;
use crossdock_common::{Command, ConsumerId, Message, Value};

use super::selectors::{COLORED, consume};
use super::support::{Tester, World, bodies, message, queue_spec, some_paging};

const COLORS: [&str; 3] = ["red", "blue", "green"];

fn colored(world: &World, color: &str) -> Message {
    let mut colored = message(world, "", "q", color);
    colored.format = &COLORED;
    colored
}

fn publish(world: &World, client: &mut Tester, messages: &[(&str, u8)]) {
    for (color, priority) in messages {
        let mut message = colored(world, color);
        message.priority = *priority;
        client.publish_message(world, message, None);
    }
}

fn publish_to_group(world: &World, client: &mut Tester, messages: &[(&str, &str)]) {
    for (group, color) in messages {
        let mut message = colored(world, color);
        message.rare_mut().group = Some((*group).into());
        client.publish_message(world, message, None);
    }
}

fn priorities(world: &World, more: &[(&str, Value)]) -> Tester {
    let mut client = world.client("u");
    client.queue(world, "q", &[&[("x-max-priority", Value::I32(9))], more].concat());
    client
}

fn fifo(world: &World) -> Tester {
    let mut client = world.client("u");
    let settings = QueueSettings { fifo: Some(Fifo::default()), ..QueueSettings::default() };
    let spec = QueueSpec { durable: true, settings: settings.into(), ..queue_spec("q", &[]) };
    client.define(world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    client
}

#[test]
fn of_what_is_wanted_higher_priorities_go_first_also_when_they_come_later() {
    let world = World::new();
    let mut publisher = priorities(&world, &[]);
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 1, "color LIKE 'red%'").expect("consumes");
    publish(&world, &mut publisher, &[("red1", 1), ("green", 9), ("red2", 1), ("red3", 5)]);
    let mut came = Vec::new();
    while let [delivery] = &red.deliveries(&world)[..] {
        came.push(String::from_utf8_lossy(&delivery.message.body).into_owned());
        if came.len() == 2 {
            publish(&world, &mut publisher, &[("red4", 7)]);
        }
        red.settle(&world, std::slice::from_ref(delivery), Outcome::Accepted);
    }
    assert_eq!(came, ["red1", "red3", "red4", "red2"]);
    assert_eq!(world.client("u").drain(&world, "q"), ["green"]);
}

#[test]
fn a_full_queue_gives_up_the_lowest_priority_whether_it_is_set_aside_or_not() {
    let world = World::new();
    let mut publisher = priorities(&world, &[("x-max-length", Value::I32(3))]);
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 0, "color = 'red'").expect("consumes");
    publish(&world, &mut publisher, &[("a", 5), ("b", 2), ("c", 7), ("d", 6), ("e", 1), ("f", 6)]);
    assert_eq!(world.client("u").drain(&world, "q"), ["c", "d", "f"]);
}

#[test]
fn what_expires_goes_from_every_priority() {
    let mut world = World::new();
    let mut publisher = priorities(&world, &[("x-message-ttl", Value::I32(1_000))]);
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 0, "color = 'red'").expect("consumes");
    publish(&world, &mut publisher, &[("a", 5), ("b", 2)]);
    world.advance_ms(500);
    publish(&world, &mut publisher, &[("c", 2), ("d", 5)]);
    world.advance_ms(600);
    assert_eq!(world.client("u").drain(&world, "q"), ["d", "c"]);
}

#[test]
fn a_group_waits_for_who_wants_its_first_message() {
    let world = World::new();
    let mut publisher = fifo(&world);
    let (mut red, mut green) = (world.client("u"), world.client("u"));
    consume(&world, &mut red, 1, 0, "color LIKE 'red%'").expect("consumes");
    let messages = [("a", "red1"), ("a", "green1"), ("a", "red2"), ("b", "green2"), ("b", "red3"), ("c", "red4")];
    publish_to_group(&world, &mut publisher, &messages);
    let first = red.deliveries(&world);
    assert_eq!(bodies(&first), ["red1", "red4"], "a group's next message does not overtake one that nobody wants");
    red.settle(&world, &first, Outcome::Accepted);
    assert!(red.deliveries(&world).is_empty());
    consume(&world, &mut green, 1, 0, "color LIKE 'green%'").expect("consumes");
    let greens = green.deliveries(&world);
    assert_eq!(bodies(&greens), ["green1", "green2"]);
    assert!(red.deliveries(&world).is_empty(), "somebody has messages of these groups");
    green.settle(&world, &greens, Outcome::Accepted);
    assert_eq!(red.bodies(&world), ["red2", "red3"]);
}

/// Messages that wait for one consumer, in the order in which it gets them.
struct Waiting(Vec<(u8, u64)>);

impl Waiting {
    fn insert(&mut self, priority: u8, number: u64) {
        self.0.push((9 - priority, number));
        self.0.sort_unstable();
    }
}

fn number_of(delivery: &Delivery) -> u64 {
    let body = String::from_utf8_lossy(&delivery.message.body).into_owned();
    body.trim_start_matches(char::is_alphabetic).parse().expect("a number")
}

/// Red and blue consumers take one message at a time, memory is short, and the order is compared with a sorted list.
fn history(seed: u64) {
    let mut random = Random::from_seed(seed);
    let mut world = World::paging(some_paging(&mut random));
    world.format = &COLORED;
    let mut publisher = priorities(&world, &[]);
    let mut consumers: Vec<Tester> = (0..2).map(|_| world.client("u")).collect();
    let mut waiting: Vec<Waiting> = (0..3).map(|_| Waiting(Vec::new())).collect();
    let mut held: Vec<Option<(u8, Delivery)>> = vec![None, None];
    for (consumer, color) in consumers.iter_mut().zip(COLORS) {
        consume(&world, consumer, 1, 1, &format!("color LIKE '{color}%'")).expect("consumes");
    }
    for number in 0..150 {
        let (color, priority) = (random.below(3) as usize, random.below(3) as u8);
        if random.below(2) == 0 {
            waiting[color].insert(priority, number);
            publish(&world, &mut publisher, &[(&format!("{}{number}", COLORS[color]), priority)]);
        }
        let index = random.below(2) as usize;
        if let Some((level, delivery)) = held[index].take_if(|_| random.below(3) == 0) {
            let accepted = random.below(3) > 0;
            if !accepted {
                waiting[index].insert(9 - level, number_of(&delivery));
            }
            let outcome = if accepted { Outcome::Accepted } else { Outcome::Released };
            consumers[index].settle(&world, &[delivery], outcome);
        }
        world.sync();
        world.serve_reads();
        for (index, consumer) in consumers.iter_mut().enumerate() {
            for delivery in consumer.deliveries(&world) {
                assert!(held[index].is_none(), "seed {seed}: a window of one message");
                let (level, first) = waiting[index].0.remove(0);
                assert_eq!(number_of(&delivery), first, "seed {seed}: {}", COLORS[index]);
                held[index] = Some((level, delivery));
            }
            assert!(held[index].is_some() || waiting[index].0.is_empty(), "seed {seed}: {} is stuck", COLORS[index]);
        }
    }
    for consumer in &mut consumers {
        let gone = |request| Command::Unsubscribe { request, consumer: ConsumerId(1) };
        consumer.request(&world, gone).expect("ends");
    }
    let left: usize = waiting.iter().map(|waiting| waiting.0.len()).sum();
    assert_eq!(world.client("u").drain(&world, "q").len(), left, "seed {seed}");
}

#[test]
fn priorities_keep_their_order_for_everybody_whatever_happens() {
    for seed in 0..150 {
        println!("seed {seed}");
        history(seed);
    }
}

const GROUPS: [&str; 3] = ["a", "b", "c"];

/// A FIFO queue: colors and numbers of each group in order, and which group somebody has a message of.
#[derive(Default)]
struct GroupsWaiting {
    of: [VecDeque<(usize, u64)>; 3],
    held: [bool; 3],
}

impl GroupsWaiting {
    /// Groups whose next message is for that color.
    fn next_of(&self, color: usize) -> impl Iterator<Item = usize> {
        (0..3).filter(move |group| !self.held[*group] && self.of[*group].front().is_some_and(|next| next.0 == color))
    }

    fn take(&mut self, color: usize, number: u64) -> Option<usize> {
        let group = self.next_of(color).find(|group| self.of[*group][0].1 == number)?;
        self.held[group] = true;
        Some(group)
    }

    fn settle(&mut self, group: usize, outcome: &Outcome) {
        self.held[group] = false;
        if *outcome == Outcome::Accepted {
            self.of[group].pop_front();
        }
    }
}

fn fifo_history(seed: u64) {
    let mut random = Random::from_seed(seed);
    let mut world = World::paging(some_paging(&mut random));
    world.format = &COLORED;
    let mut publisher = fifo(&world);
    let mut consumers: Vec<Tester> = (0..2).map(|_| world.client("u")).collect();
    let mut waiting = GroupsWaiting::default();
    let mut held: [Option<(usize, Delivery)>; 2] = [None, None];
    for (consumer, color) in consumers.iter_mut().zip(COLORS) {
        consume(&world, consumer, 1, 1, &format!("color LIKE '{color}%'")).expect("consumes");
    }
    for number in 0..150 {
        let (color, group) = (random.below(2) as usize, random.below(3) as usize);
        if random.below(2) == 0 {
            waiting.of[group].push_back((color, number));
            publish_to_group(&world, &mut publisher, &[(GROUPS[group], &format!("{}{number}", COLORS[color]))]);
        }
        let index = random.below(2) as usize;
        if let Some((group, delivery)) = held[index].take_if(|_| random.below(3) == 0) {
            let outcome = if random.below(3) > 0 { Outcome::Accepted } else { Outcome::Released };
            waiting.settle(group, &outcome);
            consumers[index].settle(&world, &[delivery], outcome);
        }
        world.sync();
        world.serve_reads();
        for (index, consumer) in consumers.iter_mut().enumerate() {
            for delivery in consumer.deliveries(&world) {
                let group = waiting.take(index, number_of(&delivery)).expect("the next of a free group");
                assert!(held[index].replace((group, delivery)).is_none(), "seed {seed}: a window of one message");
            }
            assert!(held[index].is_some() || waiting.next_of(index).next().is_none(), "seed {seed}: {index} is stuck");
        }
    }
}

#[test]
fn groups_keep_their_order_for_everybody_whatever_happens() {
    for seed in 0..150 {
        println!("seed {seed}");
        fifo_history(seed);
    }
}
