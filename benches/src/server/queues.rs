//! Brokers that speak SQS.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::cargo::beside_me;
use super::fetched::{peers, quietly};
use super::{Ports, Started, free_port, spawn};
use crate::sqs::signature::{ACCESS_KEY, SECRET};

const ELASTICMQ_VERSION: &str = "1.7.1";
const MOTO_VERSION: &str = "5.2.5";

/// Ours with an AWS key, so that signatures are checked, or without one in development mode.
///
/// # Errors
/// It is not built beside this tool.
pub fn crossdock(folder: &Path, durability: &str, is_signed: bool) -> Result<Started> {
    let (file, sqs) = (folder.join("crossdock.toml"), free_port()?);
    let user = "name = \"load\"\npassword = \"load\"\n\
                permissions = [{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }]\n";
    let key = format!("access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET}\"\nuser = \"load\"\n");
    std::fs::write(&file, format!("[[users]]\n{user}[[aws.keys]]\n{key}"))?;
    let mut command = Command::new(beside_me("crossdock")?);
    command.arg("--config").arg(&file).arg("--data-dir").arg(folder.join("data"));
    if !is_signed {
        command.arg("--dev");
    }
    let aws = format!("listeners.aws.port={sqs}");
    let settings = [aws, format!("durability=\"{durability}\""), "log.level=\"warn\"".to_owned()];
    let others = ["amqp", "mqtt", "stomp", "management"].map(|name| format!("listeners.{name}.port=0"));
    for setting in settings.iter().chain(&others) {
        command.arg("--set").arg(setting);
    }
    Ok((spawn(&command)?, Ports { sqs: Some(sqs), ..Ports::default() }))
}

/// ElasticMQ with its defaults, which keep everything in memory, or with its storage of messages in files.
///
/// # Errors
/// It cannot be fetched: no Maven, no repository; or there is no Java.
pub fn elasticmq(folder: &Path, is_durable: bool) -> Result<Started> {
    let (jars, file, sqs) = (elasticmq_jars()?, folder.join("elasticmq.conf"), free_port()?);
    let storage = folder.join("messages");
    let text = format!(
        "rest-sqs {{ bind-port = {sqs}, bind-hostname = \"127.0.0.1\", sqs-limits = strict }}\n\
         rest-stats.enabled = false\nnode-address.port = {sqs}\n\
         messages-storage {{ enabled = {is_durable}, uri = \"jdbc:h2:{}\" }}\n",
        storage.display()
    );
    std::fs::write(&file, format!("include classpath(\"application.conf\")\n{text}"))?;
    let mut command = Command::new("java");
    command.arg(format!("-Dconfig.file={}", file.display())).arg("-cp").arg(format!("{}/*", jars.display()));
    command.arg("org.elasticmq.server.Main");
    Ok((spawn(&command)?, Ports { sqs: Some(sqs), ..Ports::default() }))
}

/// A folder with the server and what it needs.
fn elasticmq_jars() -> Result<PathBuf> {
    let folder = peers()?.join(format!("elasticmq-{ELASTICMQ_VERSION}"));
    let jars = folder.join("jars");
    if !jars.exists() {
        eprintln!("fetching ElasticMQ, once");
        std::fs::create_dir_all(&folder)?;
        let dependency = format!(
            "<dependency><groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId><version>{ELASTICMQ_VERSION}</version></dependency>"
        );
        let project = format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>peers</groupId><artifactId>elasticmq</artifactId>\
             <version>1</version><dependencies>{dependency}</dependencies></project>"
        );
        std::fs::write(folder.join("pom.xml"), project)?;
        let place = format!("-DoutputDirectory={}", jars.display());
        let goal = ["--batch-mode", "dependency:copy-dependencies"];
        quietly(Command::new("mvn").args(goal).arg(place).arg("-f").arg(folder.join("pom.xml")))?;
    }
    Ok(jars)
}

/// moto's server, which keeps everything in memory.
///
/// # Errors
/// It cannot be fetched: no Python, no package index.
pub fn moto() -> Result<Started> {
    let environment = peers()?.join(format!("moto-{MOTO_VERSION}"));
    let program = environment.join("bin/moto_server");
    if !program.exists() {
        eprintln!("fetching moto, once");
        quietly(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let package = format!("moto[server]=={MOTO_VERSION}");
        quietly(Command::new(environment.join("bin/pip")).args(["install", "--quiet", &package]))?;
    }
    let sqs = free_port()?;
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &sqs.to_string()]);
    Ok((spawn(&command)?, Ports { sqs: Some(sqs), ..Ports::default() }))
}
