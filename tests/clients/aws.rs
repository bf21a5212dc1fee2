//! AWS's own SDKs, and what is built on them. Unless a test says otherwise they are given an endpoint and credentials and
//! nothing else, and signatures are checked.

use std::path::PathBuf;
use std::process::Command;

use super::{folder, is_there, java, python, python_program, run_against};
use crate::support::Broker;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// It has what has to be escaped in URLs.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Runs a client program against a new broker that checks signatures.
fn signed(name: &str, needs: &[PathBuf], program: &mut Command) {
    if !is_there(name, needs) {
        return;
    }
    let (broker, _folder) = Broker::start_signed(ACCESS_KEY, SECRET);
    let environment = [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", broker.port("aws"))),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        // Some SDKs read the one, some the other.
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_DEFAULT_REGION", "eu-west-1".to_owned()),
        // Nothing of whoever runs the test.
        ("AWS_CONFIG_FILE", "/nonexistent".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ];
    run_against(&broker, name, program.envs(environment));
}

fn signed_python(script: &str) {
    let (interpreter, mut command) = python_program(script);
    signed(script, &[interpreter], &mut command);
}

#[test]
fn boto3() {
    python("boto3_client.py");
}

#[test]
fn boto3_fifo() {
    python("boto3_fifo.py");
}

#[test]
fn sqs_is_as_aws_specifies_it() {
    python("sqs_conformance.py");
}

#[test]
fn sqs_without_aws_pauses() {
    let (interpreter, mut command) = python_program("sqs_quirks.py");
    if is_there("sqs_quirks.py", &[interpreter]) {
        let broker = Broker::start(&["aws.quirks.recreate_at_once=true", "aws.quirks.purge_at_once=true"]);
        run_against(&broker, "sqs_quirks.py", &mut command);
    }
}

#[test]
fn queues_that_sqs_cannot_call_by_name() {
    signed_python("sqs_any_name.py");
}

#[test]
fn accounts_and_regions_are_namespaces() {
    let (interpreter, mut command) = python_program("aws_namespaces.py");
    if !is_there("aws_namespaces.py", &[interpreter]) {
        return;
    }
    let broker = Broker::start(&["aws.quirks.regions_together=false"]);
    run_against(&broker, "aws_namespaces.py", command.arg("apart"));
    // In development mode an account has the same queues in every region.
    let (_, mut command) = python_program("aws_namespaces.py");
    run_against(&Broker::start(&[]), "aws_namespaces.py", command.arg("together"));
}

#[test]
fn users_of_an_account_may_do_the_same_in_every_region() {
    let (interpreter, mut command) = python_program("aws_namespaces.py");
    if !is_there("aws_namespaces.py", &[interpreter]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    let text = "vhosts = [\"/\", \"aws/111111111111\"]\n\
                [[users]]\nname = \"orders\"\npassword = \"secret\"\n\
                permissions = [{ vhost = \"/\", configure = \"^orders\", write = \".*\", read = \".*\" }]\n\
                [[users]]\nname = \"bills\"\npassword = \"secret\"\npermissions = \
                [{ vhost = \"aws/111111111111\", configure = \".*\", write = \".*\", read = \".*\" }]\n\
                [[aws.keys]]\naccess_key_id = \"AKIDORDERS\"\nsecret_access_key = \"secret\"\nuser = \"orders\"\n\
                [[aws.keys]]\naccess_key_id = \"AKIDBILLS\"\nsecret_access_key = \"secret\"\nuser = \"bills\"\n\
                account_id = \"111111111111\"\n\
                [[users]]\nname = \"boss\"\npassword = \"secret\"\ntags = [\"administrator\"]\n";
    let text = text.to_owned() + &user("late", "222222222222", None);
    std::fs::write(&file, text).expect("writes");
    let data = folder.path().join("data");
    let start = || {
        let arguments = ["--config", file.to_str().expect("UTF-8"), "--data-dir", data.to_str().expect("UTF-8")];
        Broker::start_with(&arguments, &[])
    };
    run_against(&start(), "aws_namespaces.py", command.arg("signed"));
    let (_, mut command) = python_program("aws_namespaces.py");
    run_against(&start(), "aws_namespaces.py", command.arg("restarted"));
}

/// A user with the rights to configure, write and read in a virtual host, and a key of an account.
fn user(name: &str, account: &str, rights: Option<(&str, [&str; 3])>) -> String {
    let permissions = rights.map_or_else(String::new, |(vhost, [configure, write, read])| {
        format!("{{ vhost = \"{vhost}\", configure = \"{configure}\", write = \"{write}\", read = \"{read}\" }}")
    });
    let key = name.to_uppercase();
    format!(
        "[[users]]\nname = \"{name}\"\npassword = \"secret\"\npermissions = [{permissions}]\n\
         [[aws.keys]]\naccess_key_id = \"AKID{key}\"\nsecret_access_key = \"secret\"\nuser = \"{name}\"\n\
         account_id = \"{account}\"\n"
    )
}

#[test]
fn policies_give_what_permissions_do_not() {
    let (home, other, far) = ("000000000000", "111111111111", "aws/111111111111");
    let users = [
        user("owner", home, Some(("/", [".*"; 3]))),
        user("poor", home, None),
        user("eve", home, None),
        user("half", home, Some(("/", ["", "^half", "^half"]))),
        user("reader", home, Some(("/", ["", "", "^half"]))),
        user("wide", home, Some(("/", ["", "^amq.default$", "^half"]))),
        user("bills", other, Some((far, [".*"; 3]))),
        user("limited", other, Some((far, ["", "^(orders|amq.default)", "^orders"]))),
    ];
    over_starts("aws_access.py", &[("first", users.concat()), ("restarted", users.concat())], &[far]);
}

#[test]
fn topics_are_subscribed_by_other_accounts() {
    let (other, far) = ("111111111111", "aws/111111111111");
    let (third, farther) = ("222222222222", "aws/222222222222");
    let others = [
        user("owner", "000000000000", Some(("/", [".*"; 3]))),
        user("plain", "000000000000", Some(("/", ["^plain", "^plain", "^plain"]))),
        user("limited", other, Some((far, ["", "^(orders|amq.default)", "^orders"]))),
        user("third", third, Some((farther, [".*"; 3]))),
    ];
    let boss = "[[users]]\nname = \"boss\"\npassword = \"secret\"\ntags = [\"administrator\"]\n\
                [[aws.keys]]\naccess_key_id = \"AKIDLATE\"\nsecret_access_key = \"secret\"\nuser = \"late\"\n\
                account_id = \"111111111111\"\n";
    let may = |rights| boss.to_owned() + &others.concat() + &user("bills", other, Some((far, rights)));
    let (all, none) = ([".*"; 3], ["^$"; 3]);
    let starts = [("first", may(all)), ("restarted", may(all)), ("forbidden", may(none)), ("allowed", may(all))];
    over_starts("sns_accounts.py", &starts, &[far, farther]);
}

/// Runs a script with each word against a broker with these users. Between two of them it is killed.
fn over_starts(script: &str, starts: &[(&str, String)], vhosts: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, data) = (folder.path().join("crossdock.toml"), folder.path().join("data"));
    for (word, users) in starts {
        let (interpreter, mut command) = python_program(script);
        if !is_there(script, &[interpreter]) {
            return;
        }
        let deliveries = "[aws.deliveries]\nallow = [\"127.0.0.1\"]\n";
        let text = format!("vhosts = {:?}\n{users}{deliveries}", [&["/"], vhosts].concat());
        std::fs::write(&file, text).expect("writes");
        let arguments = ["--config", file.to_str().expect("UTF-8"), "--data-dir", data.to_str().expect("UTF-8")];
        run_against(&Broker::start_with(&arguments, &[]), script, command.arg(word));
    }
}

#[test]
fn aws_cli() {
    signed_python("aws_cli.py");
}

#[test]
fn signatures_of_boto3() {
    let (interpreter, mut command) = python_program("sigv4_client.py");
    if is_there("sigv4_client.py", &[interpreter]) {
        let (broker, _folder) = Broker::start_guarded();
        run_against(&broker, "sigv4_client.py", &mut command);
    }
}

#[test]
fn aiobotocore() {
    // It wants an older botocore than boto3's.
    let interpreter = folder().join("python/.venv-aiobotocore/bin/python");
    let mut command = Command::new(&interpreter);
    signed("aiobotocore", &[interpreter], command.arg(folder().join("python/aiobotocore_client.py")));
}

#[test]
fn amazons_extended_client() {
    signed_python("extended_client.py");
}

#[test]
fn celery_with_sqs() {
    signed_python("celery_sqs.py");
}

#[test]
fn aws_sdk_for_javascript() {
    let modules = folder().join("node/node_modules/@aws-sdk/client-sqs");
    signed("AWS SDK for JavaScript", &[modules], Command::new("node").arg(folder().join("node/aws.mjs")));
}

#[test]
fn aws_sdk_for_go() {
    let program = folder().join("go-aws/client");
    signed("AWS SDK for Go", std::slice::from_ref(&program), &mut Command::new(&program));
}

#[test]
fn aws_sdk_for_rust() {
    let program = folder().join("rust-aws/target/debug/rust-aws");
    signed("AWS SDK for Rust", std::slice::from_ref(&program), &mut Command::new(&program));
}

fn signed_java(name: &str, main_class: &str) {
    let (jar, mut command) = java("java-aws", "aws.jar", main_class);
    signed(name, &[jar], &mut command);
}

#[test]
fn aws_sdk_for_java() {
    signed_java("AWS SDK for Java", "crossdock.Sdk");
}

#[test]
fn amazons_jms_library() {
    signed_java("amazon-sqs-java-messaging-lib", "crossdock.Jms");
}

#[test]
fn spring_cloud_aws() {
    signed_java("Spring Cloud AWS", "crossdock.Listener");
}
