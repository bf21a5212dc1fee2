//! The PROXY protocol: whose connection it is, in front of every protocol, and headers that are none (COM-6).

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use crate::support::Broker;
use crate::wire::http::Http;
use crate::wire::{amqp, connect, mqtt, stomp, through_tls};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 50007 1883\r\n";
/// What a proxy says of itself before its health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const LISTENERS: [&str; 5] = ["amqp", "mqtt", "stomp", "aws", "management"];
const USER: &str = "loopback_users = [\"local\"]\n[[users]]\nname = \"local\"\npassword = \"secret\"\n\
    permissions = [{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }]\n\
    [[users]]\nname = \"orders\"\npassword = \"secret\"\ntags = [\"monitoring\"]\n\
    permissions = [{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }]\n";

/// Version 2 with the same addresses as [`V1`], and something that is not looked at.
fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    header.extend([192, 0, 2, 7, 192, 0, 2, 1, 0xc3, 0x57, 0x07, 0x5b, 4, 0, 1, 0]);
    header
}

/// A broker behind a proxy, with users `orders` and, from loopback addresses only, `local`.
fn start(settings: &[&str]) -> (Broker, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    std::fs::write(&file, USER).expect("writes");
    let on = LISTENERS.map(|listener| format!("listeners.{listener}.proxy_protocol=true"));
    let settings: Vec<&str> = on.iter().map(String::as_str).chain(settings.iter().copied()).collect();
    (Broker::start_with(&["--config", file.to_str().expect("UTF-8")], &settings), folder)
}

fn send(broker: &Broker, listener: &str, parts: &[&[u8]]) -> TcpStream {
    let mut stream = connect(broker.port(listener)).expect("connects");
    // A broker that has seen enough hangs up before the rest; what it says then is what tests ask.
    let _ = parts.iter().try_for_each(|part| stream.write_all(part));
    stream
}

/// The first bytes of an answer; none if the broker hangs up.
fn answer(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    match stream.read(&mut bytes) {
        Ok(count) => bytes.truncate(count),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("silence"),
        Err(_) => bytes.clear(),
    }
    bytes
}

fn connack(broker: &Broker, header: &[u8], user: &str) -> Vec<u8> {
    answer(send(broker, "mqtt", &[header, &mqtt::connect_as("behind", user, "secret")]))
}

/// The management API's page as it is through a proxy's health check.
fn connections(broker: &Broker) -> String {
    let stream = send(broker, "management", &[LOCAL]);
    let mut http = Http::over(stream);
    http.get_as("b3JkZXJzOnNlY3JldA==", "/api/connections").expect("answers").1
}

#[test]
fn a_connection_is_whose_the_proxy_says() {
    let (broker, _folder) = start(&[]);
    for header in [V1.to_vec(), v2()] {
        let stream = send(&broker, "mqtt", &[&header, &mqtt::connect_as("behind", "orders", "secret")]);
        assert_eq!(answer(stream.try_clone().expect("clones")), [0x20, 2, 0, 0]);
        let page = connections(&broker);
        for part in ["\"peer_host\":\"192.0.2.7\"", "\"peer_port\":50007", "192.0.2.7:50007 -> 192.0.2.1:1883"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        drop(stream);
        // Who may come from this machine only does not come from there; the proxy itself does.
        assert_eq!(connack(&broker, &header, "local"), [0x20, 2, 0, 4]);
    }
    for header in [LOCAL, b"PROXY UNKNOWN\r\n", b"PROXY TCP6 ::1 ::1 1 2\r\n"] {
        assert_eq!(connack(&broker, header, "local"), [0x20, 2, 0, 0], "{header:?}");
    }
    assert!(broker.log().contains("peer=192.0.2.7:50007"), "{}", broker.log());
}

#[test]
fn every_protocol_is_served_behind_a_proxy() {
    let (broker, _folder) = start(&[]);
    let http = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mqtt = mqtt::connect_as("behind", "orders", "secret");
    for (listener, hello, start) in [
        ("amqp", &b"AMQP\0\0\x09\x01"[..], &b"\x01\0\0"[..]),
        ("mqtt", &mqtt, b"\x20"),
        ("stomp", b"CONNECT\naccept-version:1.2\nlogin:orders\npasscode:secret\n\n\0", b"CONNECTED"),
        ("aws", http, b"HTTP/1.1"),
        ("management", http, b"HTTP/1.1"),
    ] {
        for header in [V1.to_vec(), v2(), LOCAL.to_vec()] {
            let answer = answer(send(&broker, listener, &[&header, hello]));
            assert!(answer.starts_with(start), "{listener}: {answer:?}");
        }
    }
}

#[test]
fn a_header_comes_ahead_of_tls() {
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &["listeners.mqtts.proxy_protocol=true"]);
    for (header, is_served) in [(&b"PROXY TCP4 127.0.0.1 127.0.0.1 50007 8883\r\n"[..], true), (b"", false)] {
        let mut stream = through_tls(certificates.path(), send(&broker, "mqtts", &[header]));
        let mut answer = [0; 4];
        let result = stream.write_all(&mqtt::connect_packet("tls")).and_then(|()| stream.read_exact(&mut answer));
        assert_eq!((result.is_ok(), answer == [0x20, 2, 0, 0]), (is_served, is_served), "{result:?}");
    }
}

#[test]
fn com_6_what_is_no_header_ends_the_connection() {
    let (broker, _folder) = start(&["limits.handshake_timeout_ms=1000"]);
    let endless = [b"PROXY ", &[b'x'; 200][..]].concat();
    let long = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", &[0; 64][..]].concat();
    let spoofed = b"PROXY TCP4 999.0.0.1 127.0.0.1 1 1\r\n".to_vec();
    for listener in LISTENERS {
        for header in
            [&endless, &long, &spoofed, &amqp::opening(), &mqtt::connect_packet("x"), &stomp::CONNECT.to_vec()]
        {
            assert_eq!(answer(send(&broker, listener, &[header])), b"", "{listener} {header:?}");
        }
    }
    // Cut anywhere: given up by the peer, or by the broker that waits in vain.
    for header in [V1.to_vec(), v2()] {
        let cuts = (0..header.len()).map(|cut| (cut, send(&broker, "mqtt", &[&header[..cut]])));
        for (cut, stream) in cuts.collect::<Vec<_>>() {
            if cut % 2 == 0 {
                stream.shutdown(Shutdown::Write).expect("shuts down");
            }
            assert_eq!(answer(stream), b"", "{cut}");
        }
    }
    let log = broker.log();
    assert!(log.contains("rule=\"PROXY protocol\"") && log.contains("did not come in time"), "{log}");
    assert_eq!(connack(&broker, V1, "orders"), [0x20, 2, 0, 0]);
}

#[test]
fn only_trusted_proxies_are_believed() {
    let (broker, _folder) = start(&["listeners.trusted_proxies=[\"192.0.2.0/24\"]"]);
    assert_eq!(connack(&broker, V1, "orders"), b"");
    assert!(broker.log().contains("not one of listeners.trusted_proxies"), "{}", broker.log());
    let (broker, _folder) = start(&["listeners.trusted_proxies=[\"192.0.2.0/24\", \"127.0.0.1\"]"]);
    assert_eq!(connack(&broker, V1, "orders"), [0x20, 2, 0, 0]);
}

#[test]
fn curl_speaks_it_too() {
    let (broker, _folder) = start(&[]);
    let url = format!("http://127.0.0.1:{}/livez", broker.port("management"));
    let output = Command::new("curl").args(["-s", "--haproxy-protocol", &url]).output().expect("curl is installed");
    assert!(output.status.success() && output.stdout == b"ok\n", "{output:?}");
}
