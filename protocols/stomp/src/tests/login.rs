use crossdock_common::command::Credentials;
use crossdock_common::output::Close;
use crossdock_common::{Command, Limits, Machine, Name};

use super::support::*;
use crate::ConnectionOptions;

#[test]
fn connect_names_version_session_and_server() {
    let mut wire = Wire::new(options());
    assert!(!wire.machine.is_authenticated());
    let read = wire.send("STOMP\naccept-version:1.0,1.1,1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0");
    let lines: Vec<_> = read.split('\n').collect();
    assert_eq!(lines[..2], ["CONNECTED", "version:1.2"]);
    assert!(lines[2].starts_with("session:session-"));
    assert_eq!(lines[3..], ["server:Crossdock/1", "heart-beat:0,0", "", "\0"]);
    assert!(wire.machine.is_authenticated());
}

#[test]
fn a_client_without_accept_version_speaks_1_0() {
    let mut wire = Wire::new(options());
    let read = wire.send("CONNECT\nlogin: guest\npasscode: secret\n\n\0\n");
    assert!(read.starts_with("CONNECTED\nversion:1.0\n"));
    let expected = Credentials::Password { user: Name::from("guest"), password: "secret".into() };
    assert!(matches!(&wire.asked()[0], Command::Authenticate { credentials, .. } if *credentials == expected));
}

#[test]
fn connect_is_not_unescaped() {
    let mut wire = Wire::new(options());
    wire.send("CONNECT\naccept-version:1.2\nlogin:a\\nb\npasscode:c:\\x\n\n\0");
    let expected = Credentials::Password { user: Name::from("a\\nb"), password: "c:\\x".into() };
    assert!(matches!(&wire.asked()[0], Command::Authenticate { credentials, .. } if *credentials == expected));
}

#[test]
fn an_unknown_version_is_told_the_known_ones() {
    let mut wire = Wire::new(options());
    assert_eq!(
        wire.send("CONNECT\naccept-version:2.0\nreceipt:r\n\n\0"),
        "ERROR\nmessage:Version mismatch\ncontent-type:text/plain\nversion:1.0,1.1,1.2\nreceipt-id:r\n\
         content-length:35\n\nSupported versions are 1.0,1.1,1.2\n\0"
    );
    assert!(matches!(wire.close, Some(Close::Violation { rule: "Version mismatch", .. })));
}

#[test]
fn a_wrong_password_says_who_and_not_what() {
    let mut wire = Wire::new(options());
    let read = wire.send("CONNECT\nlogin:mallory\npasscode:canary\n\n\0");
    assert_eq!(error_of(&read), "Bad CONNECT");
    assert!(read.contains("\n\nAccess refused for user 'mallory'\n\0"));
    assert!(!read.contains("canary") && !format!("{:?}{:?}", wire.close, wire.core.asked).contains("canary"));
}

#[test]
fn a_host_that_is_no_vhost_means_the_default_one() {
    let mut wire = Wire::new(options());
    wire.core.vhosts_unknown = vec!["broker.example.org"];
    let read = wire.send("CONNECT\naccept-version:1.2\nhost:broker.example.org\nlogin:guest\n\n\0");
    assert!(read.starts_with("CONNECTED"));
    assert!(matches!(&wire.asked()[2], Command::Open { vhost, .. } if &**vhost == "/"));
}

#[test]
fn no_vhost_at_all_is_an_error() {
    let mut wire = Wire::new(options());
    wire.core.vhosts_unknown = vec!["x", "/"];
    assert_eq!(error_of(&wire.send("CONNECT\naccept-version:1.2\nhost:x\nlogin:guest\n\n\0")), "Bad CONNECT");
}

#[test]
fn who_shows_nothing_comes_in_only_where_that_is_allowed() {
    let mut wire = Wire::new(options());
    assert_eq!(error_of(&wire.send("CONNECT\n\n\0")), "Bad CONNECT");
    let mut wire = Wire::new(ConnectionOptions { allow_anonymous: true, ..options() });
    assert!(wire.send("CONNECT\n\n\0").starts_with("CONNECTED"));
    let certificate_name = Some(Name::from("CN=device"));
    let mut wire = Wire::new(ConnectionOptions { certificate_name, ..options() });
    assert!(wire.send("CONNECT\n\n\0").starts_with("CONNECTED"));
    let credentials = Credentials::Certificate;
    assert!(matches!(&wire.asked()[0], Command::Authenticate { credentials: found, .. } if *found == credentials));
}

#[test]
fn frames_before_and_second_connects_are_refused() {
    let mut wire = Wire::new(options());
    let read = wire.send("SEND\ndestination:/queue/q\nreceipt:1\n\n\0");
    assert_eq!(error_of(&read), "Illegal command");
    assert!(read.contains("receipt-id:1\n"));
    let mut wire = Wire::connected("1.2");
    assert_eq!(error_of(&wire.send("CONNECT\nlogin:guest\n\n\0")), "Bad CONNECT");
}

/// ST-4.
#[test]
fn heart_beats_that_are_no_numbers_are_refused_and_absurd_ones_bounded() {
    for (wish, granted) in [("0,1", "1000,0"), ("1,0", "0,1000"), ("5000,7000", "7000,5000"), ("0,0", "0,0")] {
        let mut wire = Wire::new(options());
        let read = wire.send(&format!("CONNECT\naccept-version:1.2\nlogin:g\nheart-beat:{wish}\n\n\0"));
        assert!(read.contains(&format!("heart-beat:{granted}\n")), "{wish}: {read}");
    }
    let mut wire = Wire::new(options());
    wire.send("CONNECT\naccept-version:1.2\nlogin:g\nheart-beat:18446744073709551615,18446744073709551615\n\n\0");
    assert!(wire.machine.deadline().is_some());
    for wish in ["-1,0", "0", "a,b", ",", "0,99999999999999999999", "1,2,3"] {
        let mut wire = Wire::new(options());
        let read = wire.send(&format!("CONNECT\naccept-version:1.2\nlogin:g\nheart-beat:{wish}\n\n\0"));
        assert_eq!(error_of(&read), "Invalid header", "{wish}");
    }
}

/// ST-1 before authentication: the small budget.
#[test]
fn a_stranger_has_the_budget_of_a_first_frame() {
    let max = Limits::default().first_frame_bytes_max;
    for (size, fits) in [(max - 1, true), (max, true), (max + 1, false)] {
        let mut wire = Wire::new(options());
        let padding = "x".repeat(size - "CONNECT\nlogin:g\nx:\n\n".len());
        let read = wire.send(&format!("CONNECT\nlogin:g\nx:{padding}\n\n\0"));
        assert_eq!(read.starts_with("CONNECTED"), fits, "{size}");
    }
    let mut wire = Wire::new(options());
    assert_eq!(wire.machine.input_bytes_max(), max + 1);
    assert_eq!(error_of(&wire.send("CONNECT\ncontent-length:8193\n\n")), "Frame too large");
}

#[test]
fn a_stranger_has_few_headers() {
    for (count, fits) in [(63, true), (64, true), (65, false)] {
        let read = Wire::new(options()).send(&format!("CONNECT\nlogin:g\n{}\n\0", "a:1\n".repeat(count - 1)));
        assert_eq!(read.starts_with("CONNECTED"), fits, "{count}");
    }
}
