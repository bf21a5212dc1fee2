//! What files of Mosquitto become.

use super::super::load::{Sources, load};
use super::super::{CertificateLogin, ClientCertificates, Settings, Switch};
use super::*;

/// The settings of a file, or what is wrong with it.
fn settings(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, text.replace("FOLDER", &folder.path().display().to_string())).unwrap();
    let included = folder.path().join("conf.d");
    std::fs::create_dir(&included).unwrap();
    std::fs::write(included.join("extra.conf"), "max_keepalive 300\n").unwrap();
    std::fs::write(included.join("other.txt"), "not read\n").unwrap();
    let shown = file.display().to_string();
    let sources = Sources { mosquitto_conf: Some(file), ..Sources::default() };
    load(&sources).map_err(|error| error.to_string().replace(&shown, "FILE"))
}

fn notes(text: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, text).unwrap();
    let mut problems = Problems::default();
    let notes = read(&file, &mut problems).notes;
    notes.into_iter().map(|note| (note.directive, note.why)).collect()
}

#[test]
fn directives_that_mean_the_same_become_settings() {
    let found = settings(
        "listener 1884 10.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/passwd\nacl_file /etc/mosquitto/acl\n\
         max_connections -1\nmax_inflight_messages 20\nmax_queued_messages 1000\nmax_queued_bytes 4096\n\
         message_size_limit 65536\nmax_packet_size 70000\nretain_available false\nmax_qos 1\nupgrade_outgoing_qos true\n\
         allow_zero_length_clientid false\npersistent_client_expiration 2d\ninclude_dir FOLDER/conf.d\nmemory_limit 104857600\nsys_interval 5\n",
    )
    .unwrap();
    let (mqtt, default) = (&found.mqtt, Settings::default());
    assert_eq!((found.listeners.mqtt.port, found.listeners.mqtt.bind.to_string()), (1884, "10.0.0.1".to_owned()));
    assert_eq!(found.listeners.mqtts.enabled, Switch::Auto);
    assert_eq!((found.anonymous_user, mqtt.anonymous), (None, false));
    let files = [&mqtt.password_file, &mqtt.acl_file].map(|path| path.as_ref().unwrap().display().to_string());
    assert_eq!(files, ["/etc/mosquitto/passwd", "/etc/mosquitto/acl"]);
    assert_eq!(found.limits.connections_max, default.limits.connections_max);
    assert_eq!(
        (mqtt.receive_maximum, mqtt.session_queue_messages_max, mqtt.session_queue_bytes_max.0),
        (20, 1000, 4096)
    );
    assert_eq!((found.limits.message_bytes_max.0, mqtt.packet_bytes_max.0), (65_536, 70_000));
    assert_eq!(
        (mqtt.retain, mqtt.qos_max, mqtt.upgrade_outgoing_qos, mqtt.assigned_client_ids),
        (false, 1, true, false)
    );
    assert_eq!((mqtt.session_expiry_ms_max.0, mqtt.keep_alive_ms_max.0), (2 * 86_400_000, 300_000));
    assert_eq!(mqtt.sys_interval_ms.0, 5_000);
}

#[test]
fn tls_listeners_bring_their_certificates() {
    let found = settings(
        "listener 8884\ncafile /ca.pem\ncertfile /server.pem\nkeyfile /server.key\nrequire_certificate true\n\
         use_identity_as_username true\n",
    )
    .unwrap();
    let (tls, listeners) = (&found.tls, &found.listeners);
    assert_eq!(
        (listeners.mqtt.enabled, listeners.mqtts.enabled, listeners.mqtts.port),
        (Switch::Off, Switch::On, 8884)
    );
    assert_eq!(listeners.mqtts.bind.to_string(), "0.0.0.0");
    assert_eq!(
        (tls.client_certificates, tls.certificate_login),
        (ClientCertificates::Required, CertificateLogin::CommonName)
    );
    let files =
        [&tls.certificate, &tls.private_key, &tls.client_ca].map(|path| path.as_ref().unwrap().display().to_string());
    assert_eq!(files, ["/server.pem", "/server.key", "/ca.pem"]);
}

#[test]
fn clients_without_a_name_are_let_in_where_all_listeners_allow_it() {
    let found = settings("per_listener_settings true\nlistener 1883\nallow_anonymous true\n").unwrap();
    assert_eq!((found.anonymous_user.as_deref(), found.mqtt.anonymous), (Some("anonymous"), true));
    let two = "per_listener_settings true\nlistener 1883\nallow_anonymous true\nlistener 8883\nallow_anonymous false\n";
    assert_eq!(settings(two).unwrap().anonymous_user, None);
    assert!(notes(two).iter().any(|(_, why)| why.starts_with("listeners have no users of their own")));
}

#[test]
fn listeners_of_websocket_are_for_mqtt() {
    let found = settings("listener 9001 127.0.0.1\nprotocol websockets\n").unwrap();
    let listeners = &found.listeners;
    assert_eq!((listeners.ws.enabled, listeners.ws.port, listeners.mqtt.enabled), (Switch::On, 9001, Switch::Off));
    assert_eq!(found.web_protocols(), [crate::config::WebProtocol::Mqtt]);
    assert!(found.websocket.origins.is_empty());
    let both = settings("listener 1883\nlistener 9001\nprotocol websockets\ncertfile /a\nkeyfile /b\n").unwrap();
    let listeners = &both.listeners;
    assert_eq!((listeners.wss.enabled, listeners.wss.port, listeners.mqtt.enabled), (Switch::On, 9001, Switch::On));
    assert!(notes("listener 9001\nprotocol websockets\n")[0].1.contains("websocket.origins"));
}

#[test]
fn what_changes_nothing_is_named_with_the_reason() {
    let found = notes(
        "port 1883\nlistener 1885\nlistener 9001\nprotocol http_api\nlog_dest syslog\npersistence_location /var\n\
         connection cloud\naddress other.example:1883\ntopic # both 1\ntls_version tlsv1.2\n",
    );
    let names: Vec<&str> = found.iter().map(|(directive, _)| directive.as_str()).collect();
    assert_eq!(names, ["log_dest", "persistence_location", "connection", "tls_version", "listener", "listener"]);
    assert!(found[4].1.contains("mosquitto.conf:1:1; this one is passed over"), "{found:?}");
    assert_eq!(found[0].1, "logs go to standard error; see [log]");
}

#[test]
fn what_would_let_more_in_and_what_is_not_understood_are_errors() {
    for (text, expected) in [
        ("listener 1883\nplugin /lib/auth.so\n", "FILE:2:1: plugin: plugins cannot be loaded"),
        ("clientid_prefixes secure-\n", "FILE:1:1: clientid_prefixes: identifiers of clients cannot be restricted"),
        ("crlfile /crl.pem\n", "FILE:1:1: crlfile: certificates cannot be revoked by a list"),
        ("password_fiel /x\n", "FILE:1:1: password_fiel: no directive of Mosquitto; did you mean password_file?"),
        ("max_keepalive long\n", "FILE:1:1: max_keepalive: expected a number of seconds from 0 to 65535"),
        ("allow_anonymous perhaps\n", "FILE:1:1: allow_anonymous: expected true or false"),
        ("listener 0 /run/mqtt.sock\n", "FILE:1:1: listener: there are no listeners on Unix sockets: expected a port"),
        ("listener 1883 nohost\n", "FILE:1:1: listeners.mqtt.bind: "),
        ("password_file /a\npassword_file /b\n", "FILE:2:1: password_file: another one stands above"),
        ("max_qos 3\n", "FILE:1:1: mqtt.qos_max: "),
        (
            "listener 8883\ncertfile /a\nkeyfile /b\nrequire_certificate true\n",
            "FILE:4:1: cafile: expected a file of authorities",
        ),
    ] {
        let error = settings(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
