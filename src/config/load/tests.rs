use super::*;
use crate::config::{ByteSize, Durability, ListenerKind, MIB, VhostSettings};

/// Writes `file` to a temporary `c.toml` and loads it with the other sources.
fn load_with(file: &str, environment: &[(&str, &str)], assignments: &[&str]) -> Result<Settings, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, file).unwrap();
    let sources = Sources {
        file: Some(path),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        assignments: assignments.iter().map(|text| (*text).to_owned()).collect(),
        ..Sources::default()
    };
    let prefix = format!("{}/", directory.path().display());
    load(&sources).map_err(|error| error.to_string().lines().map(|line| line.replace(&prefix, "")).collect())
}

fn problems(file: &str) -> Vec<String> {
    load_with(file, &[], &[]).expect_err("a problem")
}

#[test]
fn without_any_source_the_defaults_hold() {
    let settings = load(&Sources::default()).unwrap();
    let kinds: Vec<&str> = settings.active_listeners().iter().map(|listener| listener.kind.name()).collect();
    assert_eq!(kinds, ["amqp", "mqtt", "stomp", "aws", "management"]);
    assert!(settings.active_listeners().iter().all(|listener| listener.address.ip().is_loopback()));
    assert_eq!(settings.limits.message_bytes_max, ByteSize(16 * MIB));
    assert!(!settings.dev && settings.aws.verify_signatures);
}

#[test]
fn all_problems_are_reported_at_once_with_line_column_and_nearest_name() {
    let file = "\
nodename = 'a'
[listeners.mqtt]
prot = 1884
port = 70000
bind = 'localhost'
[limits]
frame_bytes_max = '1KiB'
heartbeat_ms = 'soon'
[log]
level = 'loud'
";
    assert_eq!(
        problems(file),
        [
            "c.toml:1:1: nodename: unknown setting; did you mean `node_name`?",
            "c.toml:3:1: listeners.mqtt.prot: unknown setting; did you mean `port`?",
            "c.toml:4:8: listeners.mqtt.port: expected an integer from 0 to 65535, found 70000",
            "c.toml:5:8: listeners.mqtt.bind: expected an IP address such as \"127.0.0.1\", \"0.0.0.0\" or \"::1\", \
             found \"localhost\"",
            "c.toml:7:19: limits.frame_bytes_max: expected 4KiB to 16MiB, found 1KiB",
            "c.toml:8:16: limits.heartbeat_ms: expected an integer number of milliseconds, found \"soon\"",
            "c.toml:10:9: log.level: expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", found \"loud\"",
        ]
    );
}

#[test]
fn problems_of_environment_and_command_line_name_variable_and_argument() {
    let environment = [("CROSSDOCK__LISTENERS__MQTT__PRT", "1"), ("CROSSDOCK__", "1"), ("CROSSDOCK_OTHER", "1")];
    let found = load_with("", &environment, &["log.level=loud", "nonsense"]).unwrap_err();
    assert_eq!(
        found,
        [
            "environment CROSSDOCK__: expected a name such as CROSSDOCK__LISTENERS__MQTT__PORT",
            "environment CROSSDOCK__LISTENERS__MQTT__PRT: listeners.mqtt.prt: unknown setting; did you mean `port`?",
            "--set (number 2): expected KEY=VALUE, such as listeners.mqtt.port=1884",
            "--set log.level: log.level: expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", found \"loud\"",
        ]
    );
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let file = "[listeners.mqtt]\nport = 1\n[listeners.amqp]\nport = 1\n[listeners.stomp]\nport = 1\n";
    let environment = [("crossdock__Listeners__MQTT__port", "2"), ("CROSSDOCK__LISTENERS__STOMP__PORT", "2")];
    let settings = load_with(file, &environment, &["listeners.mqtt.port=3", "listeners.mqtt.port=4"]).unwrap();
    let ports = [ListenerKind::Amqp, ListenerKind::Stomp, ListenerKind::Mqtt].map(|k| settings.listeners.of(k).port);
    assert_eq!(ports, [1, 2, 4]);
}

#[test]
fn the_data_directory_comes_from_option_file_systemd_or_default() {
    let systemd = [("STATE_DIRECTORY", "/var/lib/crossdock:/var/lib/other")];
    assert_eq!(load_with("", &systemd, &[]).unwrap().data_dir, PathBuf::from("/var/lib/crossdock"));
    assert_eq!(load_with("data_dir = '/d'", &systemd, &[]).unwrap().data_dir, PathBuf::from("/d"));
    assert_eq!(load_with("", &[], &[]).unwrap().data_dir, PathBuf::from("./data"));
    let sources =
        Sources { data_dir: Some("/o".into()), assignments: vec!["data_dir=/s".into()], ..Sources::default() };
    assert_eq!(load(&sources).unwrap().data_dir, PathBuf::from("/o"));
}

#[test]
fn arrays_and_tables_can_be_given_as_text() {
    let environment = [("CROSSDOCK__USERS", "[{name='a', password='p', tags=['monitoring']}]")];
    let settings = load_with("", &environment, &["vhosts=['/', 'b']", "log={level='warn'}"]).unwrap();
    assert!(settings.vhosts.names().eq(["/", "b"]));
    assert_eq!(settings.log.level.word(), "warn");
    assert_eq!(settings.users[0].password.as_ref().unwrap().expose(), "p");
}

#[test]
fn vhosts_are_names_or_tables() {
    let durabilities = |settings: &Settings| -> Vec<(String, Option<&str>)> {
        let one = |vhost: &VhostSettings| (vhost.name.clone(), vhost.durability.map(Durability::word));
        settings.vhosts.iter().map(one).collect()
    };
    let expected = [("/".to_owned(), None), ("logs".to_owned(), Some("os"))];
    for file in [
        "vhosts = ['/', {name = 'logs', durability = 'os'}]",
        "[[vhosts]]\nname = '/'\n[[vhosts]]\nname = 'logs'\ndurability = 'os'\n",
    ] {
        assert_eq!(durabilities(&load_with(file, &[], &[]).unwrap()), expected, "{file}");
    }
    assert_eq!(problems("vhosts = ['/', 'b', '/']"), ["c.toml:1:21: vhosts[2].name: \"/\" is there twice"]);
    assert_eq!(
        problems("vhosts = ['']"),
        ["c.toml:1:11: vhosts[0].name: expected 1 to 255 bytes of text, found 0 bytes of text"]
    );
    assert!(problems("vhosts = []")[0].contains("expected at least one name"));
    assert!(problems("vhosts = [1]")[0].starts_with("c.toml:1:11: vhosts[0]: expected a table, found an integer"));
    assert!(problems("vhosts = '/'")[0].contains("expected an array"));
    assert!(problems("vhosts = [{name = '/', durabilty = 'os'}]")[0].contains("did you mean `durability`?"));
}

#[test]
fn policies_need_a_pattern_an_effect_and_a_vhost_that_exists() {
    let settings =
        load_with("[[policies]]\npattern = '^logs'\ndurability = 'memory'\npriority = 3\n", &[], &[]).unwrap();
    let policy = &settings.policies[0];
    assert_eq!((policy.vhost.as_str(), policy.priority, policy.durability), ("/", 3, Some(Durability::Memory)));
    let found = problems("[[policies]]\nvhost = 'b'\npattern = '('\n");
    assert!(found[0].starts_with("c.toml:2:9: policies[0].vhost: \"b\" is not among vhosts"), "{found:?}");
    assert!(
        found[1].starts_with("c.toml:3:11: policies[0].pattern: expected a regular expression: unclosed group"),
        "{found:?}"
    );
    assert!(problems("[[policies]]\npattern = 'a'\n")[0].starts_with("c.toml:1:1: policies[0]: has no effect"));
}

#[test]
fn a_policy_says_what_rabbitmqs_do() {
    let file = "[[policies]]\nname = 'p'\npattern = 'a'\napply_to = 'queues'\noperator = true\n\
                definition = { message-ttl = 5, max-length = 7 }\n";
    let policy = load_with(file, &[], &[]).unwrap().policies[0].record(0);
    assert_eq!((policy.name.as_str(), policy.apply_to.as_str()), ("p", "queues"));
    assert_eq!(serde_json::Value::from(policy.definition), serde_json::json!({"message-ttl": 5, "max-length": 7}));
    let unnamed = load_with("[[policies]]\npattern = 'a'\ndurability = 'os'\n", &[], &[]).unwrap();
    assert_eq!(unnamed.policies[0].record(3).name, "policies[3]");
    for (line, complaint) in [
        ("definition = { message-ttl = 'x' }", "<<\"x\">> is not a valid message TTL"),
        ("definition = { nonsense = 1 }", "[{<<\"nonsense\">>,1}] are not recognised policy settings"),
        ("definition = { expires = 1 }\napply_to = 'x'", "apply-to 'x' unrecognised"),
        ("definition = 5", "expected a table of texts and numbers"),
    ] {
        let found = problems(&format!("[[policies]]\npattern = 'a'\n{line}\n"));
        assert!(found[0].contains(complaint), "{line}: {found:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_not_the_defaults() {
    let sources = Sources { file: Some("/nonexistent/c.toml".into()), ..Sources::default() };
    let message = load(&sources).unwrap_err().to_string();
    assert!(message.starts_with("/nonexistent/c.toml: cannot read the configuration file:"), "{message}");
}

#[test]
fn half_a_certificate_or_a_tls_listener_without_one_is_an_error() {
    let found = problems("[listeners.mqtts]\nenabled = true\n");
    assert!(found[0].starts_with("c.toml:2:11: listeners.mqtts.enabled: a TLS listener needs tls.certificate"));
    assert!(problems("[tls]\ncertificate = 'a'\n")[0].contains("tls.private_key is missing"));
    assert!(problems("[tls]\nprivate_key = 'a'\n")[0].contains("tls.certificate is missing"));
}

#[test]
fn tls_settings_that_protect_nothing_are_an_error() {
    assert_eq!(problems("[tls]\nclient_certificates = 'required'\n").len(), 2);
    assert!(problems("[tls]\nclient_ca = 'a'\n")[0].contains("has no effect"));
    let file = "\
tls = {certificate = 'a', private_key = 'b'}
listeners = {amqps = {enabled = false}, mqtts = {enabled = false}, stomps = {enabled = false}}
";
    assert!(problems(file)[0].contains("has no effect"));
}

#[test]
fn a_certificate_switches_the_tls_listeners_on() {
    let settings = load_with("[tls]\ncertificate = 'a'\nprivate_key = 'b'\n", &[], &[]).unwrap();
    assert_eq!(settings.active_listeners().len(), 8);
}

#[test]
fn open_modes_are_refused_on_addresses_others_can_reach() {
    let found = load_with("dev = true\n[listeners.mqtt]\nbind = '0.0.0.0'\n", &[], &[]).unwrap_err();
    assert!(found[0].starts_with("c.toml:3:8: listeners.mqtt.bind: development mode accepts everyone"), "{found:?}");
    let found = problems("[aws]\nverify_signatures = false\n[listeners.aws]\nbind = '::'\n");
    assert!(found[0].contains("aws.verify_signatures is false"), "{found:?}");
}

#[test]
fn two_listeners_cannot_share_an_address_but_many_can_take_free_ports() {
    let found = problems("[listeners.mqtt]\nbind = '0.0.0.0'\nport = 5672\n");
    assert_eq!(found, ["c.toml:3:8: listeners.mqtt.port: 0.0.0.0:5672 is taken by listeners.amqp"]);
    assert!(load_with("", &[], &["listeners.mqtt.port=0", "listeners.amqp.port=0"]).is_ok());
}

#[test]
fn a_user_needs_a_name_and_exactly_one_password() {
    let found = problems("[[users]]\npassword = 'p'\n[[users]]\nname = 'b'\npassword = ''\n");
    assert_eq!(found[0], "c.toml:1:1: users[0].name: is missing");
    assert!(
        found[1].starts_with("c.toml:5:12: users[1].password: expected 1 to 1024 bytes of text, found 0 bytes of text"),
        "{found:?}"
    );
    assert!(problems("[[users]]\nname = 'a'\n")[0].contains("password_hash (or password) is missing"));
    let both = "users = [{name='a', password='p', password_hash='h'}, {name='a', password='p'}]";
    assert_eq!(problems(both).len(), 3);
    assert!(problems("users = [{name='a', password_hash='h'}]")[0].contains("users[0].password_hash: "));
}

#[test]
fn permissions_are_regular_expressions_whatever_else_is_wrong() {
    let file = "\
vhosts = ['/', 7]
[limits]
heartbeat_ms = 'soon'
[[users]]
name = 'a'
password_hash = 'h'
permissions = [{ configure = '(', write = '.*', read = '' }, { read = 'a{9999}{9999}{9999}' }]
";
    let found = problems(file);
    let expected = [
        "c.toml:1:16: vhosts[1]: expected a table, found an integer",
        "c.toml:3:16: limits.heartbeat_ms: expected an integer number of milliseconds, found \"soon\"",
        "c.toml:6:17: users[0].password_hash: ",
        "c.toml:7:30: users[0].permissions[0].configure: expected a regular expression: unclosed group",
        "c.toml:7:71: users[0].permissions[1].read: expected a regular expression: ",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
}

#[test]
fn what_is_wrong_in_an_array_is_named() {
    let file = "\
loopback_users = ['guest', ['a']]
[listeners]
trusted_proxies = ['10.0.0.0/8', '10.0.0.0/33']
[aws.deliveries]
allow = ['loopback',
         'everything']
";
    assert_eq!(
        problems(file),
        [
            "c.toml:1:28: loopback_users[1]: expected a string, found an array",
            "c.toml:3:34: listeners.trusted_proxies[1]: expected a network or an address, found \"10.0.0.0/33\"",
            "c.toml:6:10: aws.deliveries.allow[1]: expected \"loopback\", \"private\", \"link_local\", a network or \
             an address, found \"everything\"",
        ]
    );
    let found = load_with("", &[], &["loopback_users=['a', 5]"]).unwrap_err();
    assert_eq!(found, ["--set loopback_users: loopback_users[1]: expected a string, found 5"]);
    assert!(problems("loopback_users = 'a'")[0].contains("expected an array of strings, found \"a\""));
}

#[test]
fn a_key_that_acts_for_nobody_yet_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    let keys = "[[aws.keys]]\naccess_key_id = 'k'\nsecret_access_key = 's'\nuser = 'nobody'\n";
    let users = "[[users]]\nname = 'nobody'\npassword = 'p'\n";
    let warnings_of = |file: String, dev| {
        std::fs::write(&path, file).unwrap();
        let sources = Sources { file: Some(path.clone()), dev, ..Sources::default() };
        warnings(&sources, &load(&sources).unwrap())
    };
    let found = warnings_of(keys.to_owned(), false);
    let text = format!("{}:4:8: aws.keys[0].user: \"nobody\" is not among users; ", path.display());
    assert!(found.len() == 1 && found[0].to_string().starts_with(&text), "{found:?}");
    assert_eq!(warnings_of(keys.to_owned(), true), []);
    assert_eq!(warnings_of(format!("{keys}{users}"), false), []);
}

#[test]
fn a_canary_secret_appears_in_no_output_whatever_is_wrong_with_it() {
    let broken = [
        "[[users]]\nname='a'\npassword_hash='canary'\n[[users]]\nnmae='b'\npassword=['canary']",
        "[[users]]\nname='a'\npassword={a='canary'}\n",
        "users = 'canary'",
        "[[users]]\npassword = canary\n",
        "[[users]]\npassword = 'canary\n",
        "[[aws.keys]]\naccess_key_id='a'\nsecret_access_key='canary'\nuser=3\n",
    ];
    for file in broken {
        let found = problems(file);
        assert!(found.iter().all(|line| !line.contains("canary")), "{found:?}");
    }
    let found = load_with("", &[("CROSSDOCK__PASSWORD", "canary")], &["users=[{password='canary'}]", "canary"]);
    let found = found.unwrap_err();
    assert!(found.iter().all(|line| !line.contains("canary")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("not taken from the command line")), "{found:?}");
    let settings = load_with("users = [{name='a', password='canary'}]", &[], &[]).unwrap();
    let shown = format!("{settings:?}{}", serde_json::to_string(&settings).unwrap());
    assert!(!shown.contains("canary") && shown.contains("***"), "{shown}");
}

#[test]
fn ranges_hold_at_their_edges() {
    for (value, valid) in [("0", false), ("1", true), ("128", true), ("129", false)] {
        let assignment = format!("limits.table_depth_max={value}");
        assert_eq!(load_with("", &[], &[&assignment]).is_ok(), valid, "{value}");
    }
    for (value, valid) in [("4095", false), ("4KiB", true), ("16MiB", true), ("16777217", false)] {
        let assignment = format!("limits.frame_bytes_max={value}");
        assert_eq!(load_with("", &[], &[&assignment]).is_ok(), valid, "{value}");
    }
}

#[test]
fn a_directory_that_is_not_utf8_is_refused_and_not_replaced_by_another() {
    use std::os::unix::ffi::OsStringExt;
    let name = || OsString::from_vec(b"/d\xff".to_vec());
    let sources = Sources {
        environment: vec![("STATE_DIRECTORY".into(), name()), ("CROSSDOCK__DATA_DIR".into(), name())],
        data_dir: Some(name().into()),
        ..Sources::default()
    };
    let found = load(&sources).unwrap_err().to_string();
    assert_eq!(found.matches("data_dir: expected UTF-8 text").count(), 3, "{found}");
}
