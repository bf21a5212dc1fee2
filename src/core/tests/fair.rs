use crossdock_common::command::{Lease, Outcome};
use crossdock_common::event::Delivery;

use super::support::{Tester, World, bodies, message};
use crate::Paging;

fn publish(world: &World, client: &mut Tester, tenant: &str, count: usize) {
    for index in 0..count {
        let mut message = message(world, "", "q", &format!("{tenant}{index}"));
        if !tenant.is_empty() {
            message.rare_mut().group = Some(tenant.into());
        }
        client.publish_message(world, message, None);
    }
}

fn take(world: &World, client: &mut Tester, count: u32) -> Vec<Delivery> {
    client.fetch(world, "q", count, Lease::Connection)
}

/// As many, however often somebody has to ask for that: what has to be read comes later.
fn take_all(world: &World, client: &mut Tester, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(take(world, client, 1));
    }
    all
}

/// The tenants of messages, each with how many came in a row.
fn tenants(deliveries: &[Delivery]) -> Vec<(String, usize)> {
    let all = bodies(deliveries);
    let tenant = |body: &String| body.trim_end_matches(char::is_numeric).to_owned();
    let rows = all.chunk_by(|one, other| tenant(one) == tenant(other));
    rows.map(|row| (tenant(&row[0]), row.len())).collect()
}

fn row(tenant: &str, count: usize) -> (String, usize) {
    (tenant.to_owned(), count)
}

fn scene(world: &World) -> Tester {
    let mut client = world.client("u");
    client.queue(world, "q", &[]);
    client
}

#[test]
fn quiet_tenants_go_past_a_noisy_one() {
    let world = World::new();
    let mut client = scene(&world);
    publish(&world, &mut client, "noisy", 100);
    publish(&world, &mut client, "quiet", 3);
    publish(&world, &mut client, "", 2);
    let first = take(&world, &mut client, 30);
    assert_eq!(tenants(&first), [row("noisy", 30)]);
    let second = take(&world, &mut client, 10);
    assert_eq!(tenants(&second), [row("quiet", 3), row("", 2), row("noisy", 5)]);
    assert_eq!(bodies(&second)[5], "noisy30");
    // What comes later goes past what is set aside, and nobody waits for nothing.
    publish(&world, &mut client, "other", 1);
    assert_eq!(tenants(&take(&world, &mut client, 100)), [row("other", 1), row("noisy", 65)]);
    world.check_ledgers();
}

#[test]
fn few_messages_make_no_noise() {
    let world = World::new();
    let mut client = scene(&world);
    publish(&world, &mut client, "a", 60);
    publish(&world, &mut client, "b", 1);
    take(&world, &mut client, 29);
    assert_eq!(bodies(&take(&world, &mut client, 1)), ["a29"]);
    assert_eq!(bodies(&take(&world, &mut client, 1)), ["b0"], "30 are in flight now");
}

#[test]
fn a_tenth_makes_no_noise() {
    let world = World::new();
    let mut client = scene(&world);
    for tenant in 0..10 {
        publish(&world, &mut client, &format!("{}", char::from(b'a' + tenant)), 30);
    }
    take(&world, &mut client, 300);
    publish(&world, &mut client, "a", 2);
    publish(&world, &mut client, "z", 1);
    assert_eq!(bodies(&take(&world, &mut client, 1)), ["a0"], "30 of 300");
    assert_eq!(bodies(&take(&world, &mut client, 1)), ["z0"], "31 of 301");
}

#[test]
fn a_tenant_is_quiet_again_when_its_messages_are_settled() {
    let world = World::new();
    let mut client = scene(&world);
    publish(&world, &mut client, "noisy", 50);
    publish(&world, &mut client, "quiet", 3);
    let mut first = take(&world, &mut client, 30);
    first.extend(take(&world, &mut client, 10));
    let quiet = first.iter().filter(|one| one.message.body.starts_with(b"quiet")).cloned().collect::<Vec<_>>();
    assert_eq!(quiet.len(), 3);
    client.settle(&world, &first, Outcome::Accepted);
    publish(&world, &mut client, "quiet", 1);
    assert_eq!(
        tenants(&take(&world, &mut client, 100)),
        [row("noisy", 13), row("quiet", 1)],
        "in the order of the queue"
    );
    world.check_ledgers();
}

#[test]
fn what_is_given_back_goes_before_others_of_its_tenant() {
    let world = World::new();
    let mut client = scene(&world);
    publish(&world, &mut client, "noisy", 80);
    let first = take(&world, &mut client, 60);
    publish(&world, &mut client, "quiet", 1);
    client.settle(&world, &first[5..7], Outcome::Released);
    assert_eq!(bodies(&take(&world, &mut client, 4)), ["quiet0", "noisy5", "noisy6", "noisy60"]);
    client.settle(&world, &first[10..60], Outcome::Released);
    let all: Vec<String> = bodies(&take(&world, &mut client, 100));
    let expected: Vec<String> = (10..60).chain(61..80).map(|index| format!("noisy{index}")).collect();
    assert_eq!(all, expected);
    world.check_ledgers();
}

#[test]
fn a_backlog_on_disk_is_shared_too_and_survives() {
    let paging = Paging { memory_bytes_max: 2_000, read_ahead_bytes: 600, page_references: 8, part_bytes: 1 << 20 };
    let mut world = World::paging(paging);
    let mut client = scene(&world);
    publish(&world, &mut client, "noisy", 300);
    publish(&world, &mut client, "quiet", 2);
    let first = take_all(&world, &mut client, 30);
    assert_eq!(tenants(&first), [row("noisy", 30)]);
    assert_eq!(tenants(&take_all(&world, &mut client, 5)), [row("quiet", 2), row("noisy", 3)]);
    world.restart();
    let mut client = world.client("u");
    let mut all = bodies(&take(&world, &mut client, u32::MAX));
    assert_eq!(all.len(), 302);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 302);
    world.check_ledgers();
}

#[test]
fn consumers_are_served_fairly_as_well() {
    let world = World::new();
    let mut client = scene(&world);
    publish(&world, &mut client, "noisy", 100);
    publish(&world, &mut client, "quiet", 2);
    client.consume(&world, "q", 1, 40).expect("consumes");
    let got = client.deliveries(&world);
    assert_eq!(tenants(&got), [row("noisy", 30), row("quiet", 2), row("noisy", 8)]);
    client.settle(&world, &got, Outcome::Accepted);
    assert_eq!(tenants(&client.deliveries(&world)), [row("noisy", 40)]);
    world.check_ledgers();
}
