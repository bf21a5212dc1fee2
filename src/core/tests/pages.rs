//! Pages of references in snapshots: what a start makes of them.

use crossdock_common::Value;
use crossdock_common::command::{Lease, Outcome};

use super::support::{Tester, World, bodies, message};
use crate::Paging;

/// All but the first message go to disk and come back one by one, four references make a page.
const PAGES: Paging = Paging { memory_bytes_max: 0, read_ahead_bytes: 1, page_references: 4, part_bytes: 1 << 20 };

fn world(arguments: &[(&str, Value)]) -> (World, Tester) {
    let world = World::paging(PAGES);
    let mut client = world.client("u");
    client.queue(&world, "q", arguments);
    (world, client)
}

fn publish(world: &World, client: &mut Tester, names: &[&str]) {
    names.iter().for_each(|name| client.publish(world, "", "q", name));
}

fn publish_delayed(world: &World, client: &mut Tester, name: &str) {
    let mut delayed = message(world, "", "q", name);
    delayed.rare_mut().delay_ms = Some(500);
    client.publish_message(world, delayed, None);
}

/// What a start from a snapshot of now finds.
fn found_after_restart(mut world: World) -> Vec<String> {
    world.snapshot();
    world.restart();
    world.client("u").drain(&world, "q")
}

#[test]
fn a_message_in_a_page_is_not_there_twice_though_it_was_ready_before_it_was_synced() {
    let (mut world, mut client) = world(&[("x-durability", Value::string("os"))]);
    world.instantly_durable = false;
    publish(&world, &mut client, &["a", "b", "c", "d", "e", "f"]);
    // The messages, then the page of them.
    world.write_once();
    world.write_once();
    assert_eq!(found_after_restart(world), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn a_purge_leaves_those_messages_of_a_page_that_somebody_has() {
    for held in 1..10 {
        let (mut world, mut client) = world(&[]);
        publish(&world, &mut client, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
        world.snapshot();
        let held: Vec<_> = (0..held).flat_map(|_| client.fetch(&world, "q", 1, Lease::Connection)).collect();
        client.purge(&world, "q").expect("purges");
        client.settle(&world, &held, Outcome::Released);
        world.restart();
        assert_eq!(world.client("u").drain(&world, "q"), bodies(&held));
    }
}

#[test]
fn a_delayed_message_that_came_behind_a_page_stays_behind_it() {
    let (mut world, mut client) = world(&[]);
    publish(&world, &mut client, &["near", "a"]);
    publish_delayed(&world, &mut client, "delayed");
    publish(&world, &mut client, &["b", "c", "d"]);
    world.advance_ms(600);
    publish(&world, &mut client, &["e"]);
    assert_eq!(found_after_restart(world), ["near", "a", "b", "c", "d", "delayed", "e"]);
}

#[test]
fn older_messages_stay_before_a_page_with_a_delayed_one() {
    let (mut world, mut client) = world(&[]);
    publish(&world, &mut client, &["near", "a"]);
    publish_delayed(&world, &mut client, "delayed");
    publish(&world, &mut client, &["b", "c", "d"]);
    world.advance_ms(600);
    publish(&world, &mut client, &["e", "f", "g"]);
    // Reads the first page back, and one message of it: the others stand before the second page, which has the delayed one.
    for name in ["near", "a"] {
        assert_eq!(bodies(&client.fetch(&world, "q", 1, Lease::Connection)), [name]);
    }
    assert_eq!(found_after_restart(world), ["near", "a", "b", "c", "d", "delayed", "e", "f", "g"]);
}
