//! Users of MQTT by their client certificates, through Mosquitto's own client.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Broker, wait_for};
use crate::wire::http::Http;

struct Scene {
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Scene {
    /// A broker that knows the user of `crossdock dev-certs`' client certificate if it is to, and `orders` with a password.
    fn start(user: &str, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let all = "permissions = [{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }]\n";
        let user = format!("[[users]]\nname = \"{user}\"\npassword = \"other\"\n{all}");
        let orders = format!("[[users]]\nname = \"orders\"\npassword = \"secret\"\ntags = [\"monitoring\"]\n{all}");
        let (file, certificates) = (folder.path().join("crossdock.toml"), folder.path().join("certificates"));
        std::fs::write(&file, user + &orders).expect("writes");
        let authority = format!("tls.client_ca=\"{}\"", certificates.join("ca.pem").display());
        let mut all = vec![authority.as_str(), "tls.client_certificates=\"optional\""];
        all.extend(settings);
        let broker = Broker::start_with_tls_as(&["--config", file.to_str().expect("UTF-8")], &certificates, &all);
        Self { broker, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("certificates").join(name)
    }

    fn client(&self, program: &str, has_certificate: bool, login: Option<(&str, &str)>) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &self.broker.port("mqtts").to_string(), "-V", "5", "-t", "a/b"]);
        command.arg("--cafile").arg(self.file("ca.pem"));
        if has_certificate {
            command.arg("--cert").arg(self.file("client.pem")).arg("--key").arg(self.file("client.key"));
        }
        if let Some((user, password)) = login {
            command.args(["-u", user, "-P", password]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn lets_in(&self, has_certificate: bool, login: Option<(&str, &str)>) -> bool {
        let mut publish = self.client("mosquitto_pub", has_certificate, login);
        publish.args(["-m", "hello", "-q", "1"]).status().expect("mosquitto-clients is installed").success()
    }

    /// Who somebody is, in the management API's words.
    fn user_of(&self, login: Option<(&str, &str)>) -> String {
        let mut client = self.client("mosquitto_sub", true, login).spawn().expect("mosquitto-clients is installed");
        let page = wait_for("the client to be seen", || {
            let mut http = Http::open(self.broker.port("management")).ok()?;
            let (_, page) = http.get_as("b3JkZXJzOnNlY3JldA==", "/api/connections").ok()?;
            page.contains("\"MQTT 5.0\"").then_some(page)
        });
        client.kill().expect("kills");
        client.wait().expect("waits");
        let (_, rest) = page.split_once("\"user\":\"").expect("a user");
        rest.split('"').next().expect("a name").to_owned()
    }
}

const COMMON_NAME: &str = "tls.certificate_login=\"common_name\"";

#[test]
fn a_certificate_s_common_name_is_the_user() {
    let scene = Scene::start("crossdock-client", &[COMMON_NAME]);
    assert!(scene.lets_in(true, None) && !scene.lets_in(false, None));
    assert_eq!(scene.user_of(None), "crossdock-client");
    // Who gives a name and a password is who these say, certificate or not.
    assert_eq!(scene.user_of(Some(("orders", "secret"))), "orders");
    assert!(!scene.lets_in(true, Some(("orders", "wrong"))));
    let stranger = Scene::start("somebody-else", &[COMMON_NAME]);
    assert!(!stranger.lets_in(true, None));
    assert!(stranger.broker.log().contains("authentication failed"), "{}", stranger.broker.log());
}

#[test]
fn the_certificate_wins_where_it_is_set_to() {
    let scene = Scene::start("crossdock-client", &[COMMON_NAME, "mqtt.certificate_wins=true"]);
    assert_eq!(scene.user_of(Some(("orders", "wrong"))), "crossdock-client");
    assert!(scene.lets_in(false, Some(("orders", "secret"))) && !scene.lets_in(false, Some(("orders", "wrong"))));
    let stranger = Scene::start("somebody-else", &[COMMON_NAME, "mqtt.certificate_wins=true"]);
    assert!(!stranger.lets_in(true, Some(("orders", "secret"))), "a password does not help an unknown certificate");
}
