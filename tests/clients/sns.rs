//! What goes out of SNS, through boto3 and servers that receive.

use super::{is_there, python, python_over_kills, python_program, run_against};
use crate::support::{Broker, binary};
use std::process::Command;

#[test]
fn sns_delivers_to_http_endpoints() {
    python("sns_deliveries.py");
}

#[test]
fn sns_asks_for_signatures_and_refuses_addresses() {
    let (interpreter, mut command) = python_program("sns_guarded.py");
    if !is_there("sns_guarded.py", &[interpreter]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    let user = |name: &str, configure: &str| {
        format!(
            "[[users]]\nname = \"{name}\"\npassword = \"secret\"\n\
             permissions = [{{ vhost = \"/\", configure = \"{configure}\", write = \".*\", read = \".*\" }}]\n\
             [[aws.keys]]\naccess_key_id = \"AKID{}\"\nsecret_access_key = \"secret\"\nuser = \"{name}\"\n",
            name.to_uppercase()
        )
    };
    let text = user("orders", ".*") + &user("limited", "^limited") + "[aws.deliveries]\nallow = [\"127.0.0.2\"]\n";
    std::fs::write(&file, text).expect("writes");
    let broker = Broker::start_with(&["--config", file.to_str().expect("UTF-8")], &[]);
    run_against(&broker, "sns_guarded.py", &mut command);
}

#[test]
fn notifications_in_queues_are_signed_if_wanted() {
    let (interpreter, mut command) = python_program("sns_signed.py");
    if is_there("sns_signed.py", &[interpreter]) {
        let broker = Broker::start(&["aws.sign_queue_notifications=true"]);
        run_against(&broker, "sns_signed.py", &mut command);
    }
}

#[test]
fn sns_delivers_to_webhooks_files_and_by_mail() {
    let (interpreter, mut command) = python_program("sns_sinks.py");
    if !is_there("sns_sinks.py", &[interpreter]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let sink = folder.path().join("text messages");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
    let (port, mail) = (free(), free());
    let settings = [
        "aws.sinks.sms.to=\"directory\"".to_owned(),
        format!("aws.sinks.sms.path=\"{}\"", sink.display()),
        "aws.sinks.lambda.to=\"webhook\"".to_owned(),
        format!("aws.sinks.lambda.url=\"http://127.0.0.1:{port}/functions\""),
        "aws.sinks.email.to=\"smtp\"".to_owned(),
        format!("aws.sinks.email.url=\"smtp://127.0.0.1:{mail}\""),
        "aws.sinks.email.from=\"Alarms <no-reply@example.com>\"".to_owned(),
    ];
    let broker = Broker::start(&settings.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("CROSSDOCK_SINK_FOLDER", &sink).env("CROSSDOCK_WEBHOOK_PORT", port.to_string());
    command.env("CROSSDOCK_MAIL_PORT", mail.to_string());
    run_against(&broker, "sns_sinks.py", &mut command);
}

#[test]
fn sns_sends_mail_over_starttls() {
    mail("starttls", "smtp", "?tls=required", true);
}

#[test]
fn sns_sends_mail_over_tls_from_the_first_byte() {
    mail("wrapped", "smtps", "", true);
}

#[test]
fn sns_sends_no_mail_to_a_server_of_an_unknown_authority() {
    mail("stranger", "smtp", "?tls=required", false);
}

#[test]
fn sns_sends_no_mail_without_tls_where_it_is_wanted() {
    mail("without", "smtp", "?tls=required", true);
}

/// `case` is what the server is like.
fn mail(case: &str, scheme: &str, query: &str, knows_the_authority: bool) {
    let (interpreter, mut command) = python_program("sns_mail.py");
    if !is_there("sns_mail.py", &[interpreter]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(binary()).arg("dev-certs").arg(folder.path()).output().expect("runs");
    assert!(made.status.success(), "{made:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
    let mut text = format!(
        "[aws.sinks.email]\nto = \"smtp\"\nurl = \"{scheme}://localhost:{port}{query}\"\nfrom = \"no-reply@example.com\"\n\
         user = \"crossdock\"\npassword = \"a secret\"\n"
    );
    if knows_the_authority {
        text += &format!("[aws.deliveries]\nauthorities = {:?}\n", folder.path().join("ca.pem"));
    }
    let file = folder.path().join("crossdock.toml");
    std::fs::write(&file, text).expect("writes");
    let broker = Broker::start_with(&["--dev", "--config", file.to_str().expect("UTF-8")], &[]);
    command.env("MAIL_CASE", case).env("MAIL_PORT", port.to_string()).env("MAIL_CERTIFICATES", folder.path());
    run_against(&broker, "sns_mail.py", &mut command);
    assert!(!broker.log().contains("a secret"), "{}", broker.log());
}

#[test]
fn sns_delivers_what_was_published_over_kills() {
    python_over_kills("sns_restart.py");
}

#[test]
fn messages_that_a_queue_cannot_have_go_to_the_dead_letter_queue() {
    python_over_kills("sns_letters_restart.py");
}

#[test]
fn topics_deliver_to_other_accounts_over_kills() {
    python_over_kills("sns_far_restart.py");
}

#[test]
fn what_sns_keeps_survives_kills_and_a_replay_goes_on() {
    python_over_kills("sns_kept_restart.py");
}

#[test]
fn sns_is_as_aws_specifies_it() {
    python("sns_conformance.py");
}
