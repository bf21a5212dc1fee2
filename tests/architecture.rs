//! The invariants of `docs/ARCHITECTURE.md`, read from `cargo metadata` and from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is below the root").to_owned()
}

/// Every package's normal dependencies, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().expect("list").iter().filter(|d| d["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().expect("name").to_owned());
            (package["name"].as_str().expect("name").to_owned(), names.collect())
        })
        .collect()
}

/// The Rust sources below a folder, without benchmarks: those need a clock.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = vec![root().join(folder)];
    while let Some(path) = pending.pop() {
        if path.is_dir() && path.file_name().is_some_and(|name| name == "benches") {
            continue;
        }
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

const PROTOCOLS: [&str; 4] = ["crossdock-amqp091", "crossdock-mqtt", "crossdock-stomp", "crossdock-aws"];

#[test]
fn a_protocol_depends_on_common_and_on_no_other_part() {
    let dependencies = dependencies();
    for protocol in PROTOCOLS {
        let ours = dependencies[protocol].iter().filter(|name| name.starts_with("crossdock"));
        assert_eq!(ours.collect::<Vec<_>>(), ["crossdock-common"], "{protocol}");
    }
}

#[test]
fn core_and_store_know_no_protocol_and_not_each_other() {
    let dependencies = dependencies();
    let ours = |package: &str| -> Vec<String> {
        dependencies[package].iter().filter(|name| name.starts_with("crossdock")).cloned().collect()
    };
    assert_eq!(ours("crossdock-core"), ["crossdock-common"]);
    assert!(ours("crossdock-store").is_empty());
}

#[test]
fn nothing_below_net_and_store_has_a_runtime_or_a_socket() {
    let dependencies = dependencies();
    for package in PROTOCOLS.into_iter().chain(["crossdock-common", "crossdock-core"]) {
        for banned in ["tokio", "tokio-util", "hyper", "axum", "rustls", "rand", "getrandom", "rustix", "socket2"] {
            assert!(!dependencies[package].contains(banned), "{package} depends on {banned}");
        }
    }
}

/// Asserts that no source below the folders holds any of the words.
fn assert_absent(folders: &[&str], words: &[&str]) {
    for (path, text) in folders.iter().flat_map(|folder| sources(folder)) {
        for word in words {
            let line = text.lines().position(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert!(line.is_none(), "{}:{}: {word}", path.display(), line.unwrap_or(0) + 1);
        }
    }
}

#[test]
fn protocols_and_core_read_no_clock_and_do_no_io() {
    let words =
        ["std::time::Instant", "Instant::now", "SystemTime", "std::net", "std::fs", "std::thread", "std::io::Read"];
    assert_absent(&["protocols", "src/core"], &words);
}

#[test]
fn only_store_syncs() {
    let words = ["sync_all", "sync_data", "fdatasync", "fsync("];
    let folders = [
        "protocols",
        "src/core",
        "src/net",
        "src/http",
        "src/broker",
        "src/auth",
        "src/bridges",
        "src/config",
        "src/cli",
        "src/serve",
    ];
    assert_absent(&folders, &words);
}

#[test]
fn only_net_and_the_http_listener_own_sockets() {
    let words = ["TcpListener", "TcpStream", "UdpSocket"];
    let folders = [
        "protocols",
        "src/administration",
        "src/auth",
        "src/broker",
        "src/cli",
        "src/config",
        "src/core",
        "src/definitions",
        "src/http",
        "src/mosquitto",
        "src/serve",
        "src/store",
        "src/telemetry",
    ];
    assert_absent(&folders, &words);
    // Bridges call others and are called by nobody.
    assert_absent(&["src/bridges"], &["TcpListener", "UdpSocket"]);
}

#[test]
fn outgoing_connections_of_sns_are_made_in_one_place() {
    let connecting: Vec<PathBuf> = sources("src/bridges/sns")
        .into_iter()
        .filter(|(_, text)| ["TcpStream", "lookup_host", "HttpConnector"].iter().any(|word| text.contains(word)))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(connecting, [root().join("src/bridges/sns/doorway.rs")], "addresses are checked there");
}

#[test]
fn core_names_no_protocol() {
    let words = ["amqp091", "Amqp", "Mqtt", "Stomp", "AMQP_0_9_1", "FormatTag::"];
    assert_absent(&["src/core"], &words);
}

#[test]
fn every_member_is_a_default_member() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("readable");
    let list = |key: &str| -> BTreeSet<String> {
        let start = text.find(&format!("\n{key} = [")).expect("there") + key.len() + 5;
        let end = text[start..].find(']').expect("closed") + start;
        text[start..end].split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut members = list("members");
    members.insert(".".to_owned());
    assert_eq!(members, list("default-members"));
}
