//! What each directive of Mosquitto 2 means here.

use super::convert::{Convert, boolean, bound, in_flight, keep_alive, number, path, seconds, time};

/// What becomes of a directive.
pub(super) enum Directive {
    /// It is this setting.
    Setting(&'static str, Convert),
    /// It is about a listener, or about who may come in through one.
    Listener,
    /// It changes nothing, for this reason.
    Ignored(&'static str),
    /// Without it somebody might do what they must not.
    Unsafe(&'static str),
}

use Directive::{Ignored, Listener, Setting, Unsafe};

const LOGS: &str = "logs go to standard error; see [log]";
const KEPT: &str = "messages and sessions are always kept in the journal; see data_dir and durability";
const SERVICE: &str = "a service manager does that";
const TLS: &str = "TLS 1.2 and 1.3 with the ciphers of rustls";
const PLUGIN: &str = "plugins cannot be loaded, and without it somebody might get in: remove the line to go on";
const PSK: &str = "there is no TLS with pre-shared keys: such clients cannot connect";
const BRIDGE: &str = "bridges are not carried over";
const WEBSOCKET: &str = "no pages are served, and a handshake has 8 KiB";

/// What the directive means; `None` if Mosquitto has none of that name.
pub(super) fn meaning(name: &str) -> Option<Directive> {
    if is_of_bridge(name) {
        return Some(Ignored(BRIDGE));
    }
    Some(match name {
        "sys_interval" => Setting("mqtt.sys_interval_ms", seconds),
        "acl_file" => Setting("mqtt.acl_file", path),
        "allow_zero_length_clientid" => Setting("mqtt.assigned_client_ids", boolean),
        "max_connections" => Setting("limits.connections_max", bound),
        "global_max_connections" => Setting("limits.connections_max", bound),
        "max_inflight_messages" => Setting("mqtt.receive_maximum", in_flight),
        "max_keepalive" => Setting("mqtt.keep_alive_ms_max", keep_alive),
        "max_packet_size" => Setting("mqtt.packet_bytes_max", bound),
        "max_qos" | "maximum_qos" => Setting("mqtt.qos_max", number),
        "max_queued_bytes" => Setting("mqtt.session_queue_bytes_max", number),
        "max_queued_messages" => Setting("mqtt.session_queue_messages_max", number),
        "max_topic_alias" | "max_topic_alias_broker" => Setting("mqtt.topic_alias_maximum", number),
        "memory_limit" => Setting("limits.memory_bytes_max", bound),
        "message_size_limit" => Setting("limits.message_bytes_max", bound),
        "password_file" => Setting("mqtt.password_file", path),
        "persistent_client_expiration" => Setting("mqtt.session_expiry_ms_max", time),
        "retain_available" => Setting("mqtt.retain", boolean),
        "upgrade_outgoing_qos" => Setting("mqtt.upgrade_outgoing_qos", boolean),
        "allow_anonymous"
        | "bind_address"
        | "cafile"
        | "capath"
        | "certfile"
        | "keyfile"
        | "listener"
        | "per_listener_settings"
        | "port"
        | "protocol"
        | "require_certificate"
        | "use_identity_as_username"
        | "use_subject_as_username" => Listener,
        "autosave_interval" | "autosave_on_changes" | "persistence" | "persistence_file" | "persistence_location" => {
            Ignored(KEPT)
        }
        "connection_messages"
        | "log_dest"
        | "log_facility"
        | "log_timestamp"
        | "log_timestamp_format"
        | "log_type"
        | "websockets_log_level" => Ignored(LOGS),
        "pid_file" | "user" => Ignored(SERVICE),
        "ciphers"
        | "ciphers_tls1.3"
        | "dhparamfile"
        | "tls_engine"
        | "tls_engine_kpass_sha1"
        | "tls_keyform"
        | "tls_version" => Ignored(TLS),
        "psk_file" | "psk_hint" => Ignored(PSK),
        "http_dir" | "websockets_headers_size" => Ignored(WEBSOCKET),
        "websockets_origin" => Ignored("see websocket.origins"),
        "auto_id_prefix" => Ignored("identifiers that the broker makes have none"),
        "bind_interface" | "socket_domain" => Ignored("a listener has one address; see listeners.mqtt.bind"),
        "check_retain_source" => Ignored("who reads a retained message is always asked for permission again"),
        "max_inflight_bytes" => Ignored("limits.connection_outgoing_bytes_max bounds what waits for a slow reader"),
        "max_queued_bytes_qos0" | "queue_qos0_messages" => {
            Ignored("messages of QoS 0 do not wait for who is not there")
        }
        "packet_buffer_size" | "set_tcp_nodelay" => Ignored("always so"),
        "enable_control_api" | "global_plugin" => Ignored("the management API does that"),
        "allow_duplicate_messages"
        | "retain_expiry_interval"
        | "store_clean_interval"
        | "retry_interval"
        | "upgrade_outgoing_messages" => Ignored("later versions of Mosquitto pass it over, too"),
        "auth_plugin" | "plugin" | "plugin_load" | "plugin_use" => Unsafe(PLUGIN),
        name if name.starts_with("auth_opt_") || name.starts_with("plugin_opt_") => Ignored("there are no plugins"),
        name if name.starts_with("auth_plugin_") => Ignored("there are no plugins"),
        "clientid_prefixes" => {
            Unsafe("identifiers of clients cannot be restricted: remove the line to let all of them in")
        }
        "crlfile" => {
            Unsafe("certificates cannot be revoked by a list: remove the line to accept all of the authority's")
        }
        "mount_point" => Unsafe("topics of a listener cannot be moved: remove the line to have them where they are"),
        "use_username_as_clientid" => Unsafe(
            "the identifier is the client's own; sessions are taken over by the same user only: remove the line to go on",
        ),
        _ => return None,
    })
}

/// Whether it stands below `connection`.
pub(super) fn is_of_bridge(name: &str) -> bool {
    const WORDS: [&str; 21] = [
        "address",
        "addresses",
        "cleansession",
        "clientid",
        "connection",
        "idle_timeout",
        "keepalive_interval",
        "local_cleansession",
        "local_clientid",
        "local_password",
        "local_username",
        "notification_topic",
        "notifications",
        "notifications_local_only",
        "password",
        "remote_clientid",
        "remote_password",
        "remote_username",
        "restart_timeout",
        "round_robin",
        "start_type",
    ];
    WORDS.contains(&name)
        || matches!(name, "threshold" | "topic" | "try_private" | "username")
        || name.starts_with("bridge_")
}

/// Names that a misspelled one may have been meant to be.
pub(super) const KNOWN: [&str; 33] = [
    "acl_file",
    "allow_anonymous",
    "allow_zero_length_clientid",
    "bind_address",
    "cafile",
    "certfile",
    "connection",
    "crlfile",
    "include_dir",
    "keyfile",
    "listener",
    "log_dest",
    "log_type",
    "max_connections",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "message_size_limit",
    "password_file",
    "per_listener_settings",
    "persistence",
    "persistence_location",
    "persistent_client_expiration",
    "port",
    "protocol",
    "require_certificate",
    "retain_available",
    "sys_interval",
    "use_identity_as_username",
];
