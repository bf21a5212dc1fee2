//! RabbitMQ's management API, asked by other people's tools and in their ways.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients::{folder, is_there, python, python_program, run, run_against};
use crate::support::Broker;

/// A user for each of RabbitMQ's tags. `maker` may do everything with what begins with `a`; `boss` is in no vhost.
const USERS: &str = r#"
vhosts = ["/"]
[[users]]
name = "root"
password = "secret"
tags = ["administrator"]
permissions = [{ vhost = "/", configure = ".*", write = ".*", read = ".*" }]
[[users]]
name = "boss"
password = "secret"
tags = ["administrator"]
[[users]]
name = "watcher"
password = "secret"
tags = ["monitoring"]
[[users]]
name = "maker"
password = "secret"
tags = ["policymaker"]
permissions = [{ vhost = "/", configure = "^a$", write = "^a$", read = "^a$" }]
[[users]]
name = "manager"
password = "secret"
tags = ["management"]
[[users]]
name = "plain"
password = "secret"
permissions = [{ vhost = "/", configure = ".*", write = ".*", read = ".*" }]
"#;

/// What RabbitMQ's package installs, or `tests/run` unpacked of it.
fn rabbitmqadmin() -> PathBuf {
    let unpacked = folder().join("debian");
    let roots = [Path::new("/"), unpacked.as_path()];
    let installed = roots.iter().filter_map(|root| script_in(&root.join("usr/lib/rabbitmq/lib"))).next();
    installed.unwrap_or_else(|| unpacked.join("rabbitmqadmin"))
}

fn script_in(library: &Path) -> Option<PathBuf> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let plugins = entries(library).flat_map(|server| entries(&server.join("plugins")).collect::<Vec<_>>());
    plugins.map(|plugin| plugin.join("priv/www/cli/rabbitmqadmin")).find(|script| script.exists())
}

#[test]
fn answers_have_the_keys_and_errors_of_rabbitmq() {
    python("management_client.py");
}

#[test]
fn tags_and_permissions_decide_who_sees_and_does_what() {
    let (interpreter, mut command) = python_program("management_access.py");
    if !is_there("management_access.py", &[interpreter]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    std::fs::write(&file, USERS).expect("writes");
    let broker = Broker::start_with(&["--config", file.to_str().expect("UTF-8")], &[]);
    run_against(&broker, "management_access.py", &mut command);
}

#[test]
fn rabbitmqadmin_of_debian() {
    let (interpreter, mut command) = python_program("rabbitmqadmin_client.py");
    let script = rabbitmqadmin();
    run("rabbitmqadmin_client.py", &[interpreter, script.clone()], command.arg(script));
}

#[test]
fn rabbitmqadmin_of_version_2() {
    let (interpreter, mut command) = python_program("rabbitmqadmin2_client.py");
    let program = folder().join("rabbitmqadmin/bin/rabbitmqadmin");
    run("rabbitmqadmin2_client.py", &[interpreter, program.clone()], command.arg(program));
}

#[test]
fn rabbit_hole() {
    let program = folder().join("go/management-client");
    run("rabbit-hole", std::slice::from_ref(&program), &mut Command::new(&program));
}
