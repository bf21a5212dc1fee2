//! Every setting of the broker, declared once: key, type, default, bounds, documentation.
//! `packaging/crossdock.example.toml` is generated from this file.

mod aws;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::network::Networks;
use super::policies::PolicyDefinitionSettings;
use super::scalar::choice;
use super::secret::Secret;
use super::section::section;
use super::units::{ByteSize, GIB, KIB, MIB, MemoryLimit, Milliseconds};
use super::vhosts::Vhosts;
pub use aws::*;

/// One day, for expiry bounds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

section! {
    /// The whole configuration.
    pub struct Settings {
        /// Name of this node, shown to clients and in metrics.
        pub node_name: String = "crossdock".into(), in 1..=255;
        /// Directory of the journal. Only one broker may use it. Without this setting systemd's $STATE_DIRECTORY is
        /// taken, and without that ./data.
        pub data_dir: PathBuf = "./data".into();
        /// Development mode: every name and password is accepted. All listeners must be on loopback addresses.
        pub dev: bool = false;
        /// When a publish is confirmed: "fsync" once it survives power loss, "os" once it survives a crash of the
        /// broker, "memory" at once. A virtual host, a policy or a queue (x-durability) may say otherwise, each more than
        /// the one before.
        pub durability: Durability = Durability::Fsync;
        /// Users who may log in from loopback addresses only, whoever made them.
        pub loopback_users: Vec<String> = vec!["guest".to_owned()];
        /// The user that clients are who show neither name nor password (AMQP's ANONYMOUS, MQTT and STOMP without a login). Without
        /// this setting they are refused.
        pub anonymous_user: Option<String> = None, in 1..=255, example "\"public\"";
        /// Virtual hosts that exist after the first start: names, or tables with settings of their own, such as
        /// { name = "logs", durability = "os" }. Those that permissions are given in have to be among them, also "aws/ACCOUNT" of an
        /// AWS account that is not `aws.account_id`; permissions there hold in all its regions.
        pub vhosts: Vhosts = Vhosts::default();
        /// Where clients connect. Port 0 takes a free port (see --ports-file).
        pub listeners: ListenersSettings = ListenersSettings::default();
        /// Certificates of the TLS listeners. PEM files; `crossdock dev-certs` makes a set for development.
        pub tls: TlsSettings = TlsSettings::default();
        /// Bounds on what a peer can make the broker do or keep.
        pub limits: LimitsSettings = LimitsSettings::default();
        /// The journal.
        pub store: StoreSettings = StoreSettings::default();
        /// Queues and routing.
        pub core: CoreSettings = CoreSettings::default();
        /// MQTT 3.1, 3.1.1 and 5.
        pub mqtt: MqttSettings = MqttSettings::default();
        /// WebSocket, at listeners.ws, .wss and .any.
        pub websocket: WebSocketSettings = WebSocketSettings::default();
        /// STOMP 1.0 to 1.2.
        pub stomp: StompSettings = StompSettings::default();
        /// The SQS and SNS APIs.
        pub aws: AwsSettings = AwsSettings::default();
        /// Log lines on standard error. The variable RUST_LOG overrides the level.
        pub log: LogSettings = LogSettings::default();
        /// What happens on SIGTERM and SIGINT.
        pub shutdown: ShutdownSettings = ShutdownSettings::default();
        /// What holds for the queues of some names. As in RabbitMQ one policy applies to a queue: of those that match, the one
        /// with the highest priority.
        pub policies: Vec<PolicySettings> = Vec::new();
        /// Users that exist beside those made at run time. If there are none at all, the first start makes `admin` and prints its
        /// password.
        pub users: Vec<UserSettings> = Vec::new();
    }
}

choice! {
    /// When a publish is confirmed.
    pub enum Durability {
        /// After fdatasync: survives power loss.
        Fsync = "fsync",
        /// After write: survives a crash of the broker, not of the machine.
        Os = "os",
        /// At once: survives nothing.
        Memory = "memory",
    }
}

section! {
    /// A virtual host.
    pub struct VhostSettings {
        /// Its name.
        pub name: String = String::new(), in 1..=255;
        /// When a publish to its queues is confirmed; as the broker's durability if it is not set.
        pub durability: Option<Durability> = None;
    }
}

section! {
    /// What holds for the queues of some names.
    pub struct PolicySettings {
        /// The virtual host.
        pub vhost: String = "/".into(), in 1..=255;
        /// Its name in the management API; without one, its place in the configuration, such as `policies[0]`.
        pub name: Option<String> = None, in 1..=255, example "\"logs\"";
        /// A regular expression over names of queues and exchanges.
        pub pattern: String = String::new(), in 1..=1024, example "\"^logs\\\\.\"";
        /// "all", "queues", "exchanges", "classic_queues", "quorum_queues" or "streams".
        pub apply_to: String = "all".into(), in 1..=32;
        /// It bounds what declarations and other policies say (an operator policy of RabbitMQ).
        pub operator: bool = false;
        /// Which policy applies where several match: the one with the highest number, and of equals the first.
        pub priority: u32 = 0;
        /// When a publish is confirmed: "fsync", "os" or "memory".
        pub durability: Option<Durability> = None, example "\"os\"";
        /// What RabbitMQ's policies say, in its words: TOML such as { message-ttl = 60000 }.
        pub definition: PolicyDefinitionSettings = PolicyDefinitionSettings::default(), example "{ \"message-ttl\" = 60000 }";
    }
}

section! {
    /// One listener per protocol, with and without TLS, and some for several.
    pub struct ListenersSettings {
        /// Networks and addresses of the proxies that listeners with proxy_protocol believe; others are hung up on. Without
        /// this setting they believe everyone who can connect.
        pub trusted_proxies: Networks = Networks::default(), example "[\"10.0.0.0/8\", \"::1\"]";
        /// AMQP 0-9-1.
        pub amqp: ListenerSettings = ListenerSettings::plain(5672);
        /// AMQP 0-9-1 over TLS.
        pub amqps: ListenerSettings = ListenerSettings::tls(5671);
        /// MQTT 3.1, 3.1.1 and 5.
        pub mqtt: ListenerSettings = ListenerSettings::plain(1883);
        /// MQTT over TLS.
        pub mqtts: ListenerSettings = ListenerSettings::tls(8883);
        /// STOMP 1.0 to 1.2.
        pub stomp: ListenerSettings = ListenerSettings::plain(61613);
        /// STOMP over TLS.
        pub stomps: ListenerSettings = ListenerSettings::tls(61614);
        /// MQTT, STOMP and AMQP 0-9-1 over WebSocket.
        pub ws: ListenerSettings = ListenerSettings::off(15675);
        /// The same over TLS.
        pub wss: ListenerSettings = ListenerSettings::off(15676);
        /// One port for everything: AMQP 0-9-1, MQTT, STOMP, HTTP and WebSocket, with and without TLS, are told apart by what a client
        /// says first. It leads to what has a listener of its own.
        pub any: ListenerSettings = ListenerSettings::off(5670);
        /// The SQS and SNS APIs over HTTP.
        pub aws: ListenerSettings = ListenerSettings::plain(9324);
        /// Management API, console, health and metrics over HTTP.
        pub management: ListenerSettings = ListenerSettings::plain(15672);
    }
}

section! {
    /// A TCP listener.
    pub struct ListenerSettings {
        /// true, false, or "auto": on, for TLS only if tls.certificate is set.
        pub enabled: Switch = Switch::Auto;
        /// The address to listen on; "0.0.0.0" or "::" for all.
        pub bind: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        /// The TCP port; 0 takes a free one.
        pub port: u16 = 0;
        /// Connections come through a proxy that says first whose they are: with a PROXY protocol header of version 1 or 2, which
        /// each must then have, ahead of TLS.
        pub proxy_protocol: bool = false;
    }
}

impl ListenerSettings {
    fn plain(port: u16) -> Self {
        Self { enabled: Switch::On, port, ..Self::default() }
    }

    fn tls(port: u16) -> Self {
        Self { enabled: Switch::Auto, port, ..Self::default() }
    }

    fn off(port: u16) -> Self {
        Self { enabled: Switch::Off, port, ..Self::default() }
    }
}

/// Whether something runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    On,
    Off,
    /// Decided by what else is configured.
    Auto,
}

section! {
    /// Certificates of the TLS listeners.
    pub struct TlsSettings {
        /// Certificate chain of the server, leaf first.
        pub certificate: Option<PathBuf> = None, example "\"certs/server.pem\"";
        /// Private key of the first certificate: PKCS#8, SEC1 or PKCS#1.
        pub private_key: Option<PathBuf> = None, example "\"certs/server.key\"";
        /// Authorities whose client certificates are trusted. Needs client_certificates.
        pub client_ca: Option<PathBuf> = None, example "\"certs/ca.pem\"";
        /// Whether clients show a certificate: "off", "optional" or "required".
        pub client_certificates: ClientCertificates = ClientCertificates::Off;
        /// Which name of a client's certificate is its user's (AMQP's EXTERNAL, MQTT and STOMP without a login):
        /// "distinguished_name", such as CN=orders,O=Shop, or "common_name".
        pub certificate_login: CertificateLogin = CertificateLogin::DistinguishedName;
    }
}

choice! {
    /// Which name of a client's certificate is its user's.
    pub enum CertificateLogin {
        /// All of the subject, as RabbitMQ writes it.
        DistinguishedName = "distinguished_name",
        /// The subject's common name.
        CommonName = "common_name",
    }
}

choice! {
    /// Whether clients show a certificate.
    pub enum ClientCertificates {
        /// Never asked for.
        Off = "off",
        /// Asked for and checked if shown.
        Optional = "optional",
        /// No connection without one.
        Required = "required",
    }
}

section! {
    /// Bounds on what a peer can make the broker do or keep.
    pub struct LimitsSettings {
        /// Time from the first byte to a finished login.
        pub handshake_timeout_ms: Milliseconds = Milliseconds(10_000), in 100..=600_000;
        /// Time for the TLS handshake.
        pub tls_handshake_timeout_ms: Milliseconds = Milliseconds(5_000), in 100..=600_000;
        /// Time that an HTTP client has for the head of its next request; also how long an idle connection is kept.
        pub http_idle_timeout_ms: Milliseconds = Milliseconds(60_000), in 100..=3_600_000;
        /// Largest first frame or packet, before anything is known of the peer.
        pub first_frame_bytes_max: ByteSize = ByteSize(8 * KIB), in 256..=MIB;
        /// Memory that a connection may cost before login.
        pub unauthenticated_bytes_max: ByteSize = ByteSize(16 * KIB), in KIB..=MIB;
        /// Largest frame (AMQP frame_max).
        pub frame_bytes_max: ByteSize = ByteSize(128 * KIB), in 4 * KIB..=16 * MIB;
        /// Largest message body of AMQP, MQTT and STOMP.
        pub message_bytes_max: ByteSize = ByteSize(16 * MIB), in KIB..=512 * MIB;
        /// Largest message of SQS and SNS, attributes included. AWS has 1 MiB.
        pub aws_message_bytes_max: ByteSize = ByteSize(MIB), in KIB..=16 * MIB;
        /// Heartbeat offered to AMQP and STOMP clients; 0 for none.
        pub heartbeat_ms: Milliseconds = Milliseconds(60_000), in 0..=3_600_000;
        /// How long an AMQP 0-9-1 client may take to acknowledge a delivery, where the queue's `x-consumer-timeout` says nothing else; then
        /// its channel is closed. 0 for as long as it likes.
        pub consumer_timeout_ms: Milliseconds = Milliseconds(1_800_000), in 0..=4_294_967_295;
        /// AMQP channels of one connection.
        pub channels_per_connection_max: u16 = 2047, in 1..=65535;
        /// Nesting of field tables and arrays.
        pub table_depth_max: u16 = 32, in 1..=128;
        /// Entries of one message's field tables, all levels together.
        pub table_entries_max: u32 = 1024, in 1..=65_536;
        /// All headers and properties of one message.
        pub header_bytes_max: ByteSize = ByteSize(64 * KIB), in 256..=MIB;
        /// Levels of a topic name, routing key or filter.
        pub topic_levels_max: u16 = 128, in 1..=1024;
        /// Copies that one message may become through dead-letter exchanges, queues after queues; from then on a dead letter goes to
        /// one queue only.
        pub dead_letter_copies_max: u32 = 65_536, in 1..=1_000_000;
        /// Connections of all protocols together.
        pub connections_max: u32 = 65_536, in 1..=10_000_000;
        /// Connections that each listener accepts in a second, and at once after a second of silence; further ones are closed before TLS
        /// and before anything is read. 0 for any number.
        pub connects_per_second_max: u32 = 0, in 0..=1_000_000;
        /// The same for all connections from one address (of IPv6, from one /64 network), whatever the listener.
        pub connects_per_second_per_address_max: u32 = 0, in 0..=1_000_000;
        /// Sessions of MQTT, connected or kept. A client that would get a new one beyond that is refused: 0x97, before version 5 return code 3.
        pub sessions_max: u32 = 1_000_000, in 1..=100_000_000;
        /// Sessions of one user; 0 for any number.
        pub sessions_per_user_max: u32 = 0, in 0..=100_000_000;
        /// Bytes that wait for a slow reader, per connection; then it gets no more deliveries until it has read some.
        pub connection_outgoing_bytes_max: ByteSize = ByteSize(MIB), in 64 * KIB..=GIB;
        /// Memory of the broker (in RAM, without files) above which publishers wait while consumers drain. "auto" is 60 % of
        /// what its control group allows or the machine has; 0 for no bound.
        pub memory_bytes_max: MemoryLimit = MemoryLimit::Auto;
        /// Passwords checked at the same time; each costs 19 MiB of memory and some 20 ms of a core.
        pub password_verifications_concurrent_max: u16 = 4, in 1..=256;
    }
}

section! {
    /// The journal.
    pub struct StoreSettings {
        /// Size of one journal file.
        pub segment_bytes: ByteSize = ByteSize(32 * MIB), in MIB..=4 * GIB;
        /// Free space on the data directory's file system below which publishers wait while consumers drain; 0 for no bound.
        /// The default leaves room for some more segments and snapshots, which giving space back may need.
        pub disk_free_bytes_min: ByteSize = ByteSize(128 * MIB);
        /// Encryption of the journal's files.
        pub encryption: EncryptionSettings = EncryptionSettings::default();
    }
}

section! {
    /// Encryption of the journal's files.
    pub struct EncryptionSettings {
        /// File with the key with which new files of the journal are encrypted (AES-256-GCM; each has a key of its own, which this one
        /// encrypts): 32 random bytes, as they are, in hexadecimal or in base64. Only the broker's user may read it (mode 0600
        /// or 0400). Without this setting new files are not encrypted. A copy of the key belongs elsewhere: without it, nobody
        /// reads the messages again.
        pub key_file: Option<PathBuf> = None, example "\"/etc/crossdock/journal.key\"";
        /// Files with keys that only open what was encrypted with them before. A key can go when no file needs it any more:
        /// `crossdock store check` says which are needed.
        pub old_key_files: Vec<String> = Vec::new();
    }
}

section! {
    /// Queues and routing.
    pub struct CoreSettings {
        /// Groups of queues that run in parallel; 0 for one per processor core.
        pub shards: u16 = 0, in 0..=1024;
        /// Memory for messages that wait in queues. Beyond it they are on disk only, durable or not, and are read back when
        /// a consumer gets near them. "auto" is an eighth of what the control group allows or the machine has, 128 MiB at
        /// most; 0 for no bound.
        pub messages_memory_bytes_max: MemoryLimit = MemoryLimit::Auto;
    }
}

section! {
    /// WebSocket: paths /mqtt, /stomp, /amqp, and /ws for all of them by sub-protocol.
    pub struct WebSocketSettings {
        /// Web pages whose scripts may connect, by their origin; "*" for those of everybody. Clients that send no origin may connect, and
        /// those that send the broker's own: by its address, by localhost, or over TLS.
        pub origins: Vec<String> = Vec::new(), example "[\"https://app.example.com\"]";
        /// What is served: "mqtt", "stomp", "amqp". Without this setting it is what has a listener of its own.
        pub protocols: Vec<String> = Vec::new(), example "[\"mqtt\", \"stomp\"]";
        /// Largest frame of a client. Frames are never kept, so that memory is bounded by the limits of what is in them.
        pub frame_bytes_max: ByteSize = ByteSize(32 * MIB), in KIB..=GIB;
        /// Largest message of a client, all its frames together.
        pub message_bytes_max: ByteSize = ByteSize(32 * MIB), in KIB..=GIB;
    }
}

section! {
    /// STOMP 1.0 to 1.2.
    pub struct StompSettings {
        /// Whether a `host` that is no vhost is refused. Many clients put the name of the machine there: then they get the vhost "/".
        pub strict_host: bool = false;
        /// Whether `*` and a last `>` in the name of a queue that is subscribed to are wildcards, as with ActiveMQ; else they are part of
        /// the name, as with RabbitMQ.
        pub queue_wildcards: bool = true;
        /// Deliveries that a subscription with `ack:client` or `client-individual` may have unacknowledged, where it says nothing with
        /// `prefetch-count` or `activemq.prefetchSize`; 0 for any number. One that has them all leaves nothing to others.
        pub prefetch_default: u32 = 1_000, in 0..=1_000_000;
        /// What a NACK without a `requeue` header means: "requeue" as with RabbitMQ, or "dead_letter" as with ActiveMQ.
        pub nack: StompNack = StompNack::Requeue;
        /// A message that was handed out again so often goes back to its queue with a delay, which doubles from a second to a minute.
        pub redeliveries_at_once: u32 = 20, in 0..=1_000_000;
    }
}

choice! {
    /// What a NACK means.
    pub enum StompNack {
        /// The message goes back to its queue.
        Requeue = "requeue",
        /// It goes to the dead letters.
        DeadLetter = "dead_letter",
    }
}

section! {
    /// MQTT 3.1, 3.1.1 and 5.
    pub struct MqttSettings {
        /// The topic exchange that PUBLISH goes to and subscriptions are bound to.
        pub exchange: String = "amq.topic".into(), in 1..=255;
        /// Users beside those below `users`, who may use MQTT in the vhost "/": a password file of Mosquitto. It is read again when
        /// it changes, and on SIGHUP. A line that is not understood lets nobody in.
        pub password_file: Option<PathBuf> = None, example "\"/etc/mosquitto/passwd\"";
        /// The topics that these users may publish to and read: an access control list of Mosquitto, read in the same way. Without
        /// it they may use all.
        pub acl_file: Option<PathBuf> = None, example "\"/etc/mosquitto/acl\"";
        /// Whether anonymous_user is such a user, too, and needs no entry below `users`: clients without a name may use all topics, or
        /// those that stand before the first `user` line of acl_file.
        pub anonymous: bool = false;
        /// Longest time a session outlives its connection; what clients ask beyond that is cut to it.
        pub session_expiry_ms_max: Milliseconds = Milliseconds(7 * DAY_MS), in 0..=366 * DAY_MS;
        /// QoS 1 and 2 messages a client may have unacknowledged (Receive Maximum).
        pub receive_maximum: u16 = 1024, in 1..=65535;
        /// Topic aliases of one connection, in each direction; 0 for none.
        pub topic_alias_maximum: u16 = 64, in 0..=65535;
        /// How long the messages of a shared subscription are kept after its last member has left.
        pub shared_subscription_expiry_ms: Milliseconds = Milliseconds(7 * DAY_MS), in 1000..=366 * DAY_MS;
        /// Messages that may wait for a session or a shared subscription; 0 for any number.
        pub session_queue_messages_max: u64 = 1_000_000;
        /// Bytes of message bodies that may wait for one; 0 for any number.
        pub session_queue_bytes_max: ByteSize = ByteSize(GIB);
        /// How long a message may wait for one; 0 for ever.
        pub session_queue_age_ms_max: Milliseconds = Milliseconds(0), in 0..=366 * DAY_MS;
        /// What happens beyond these numbers: "drop_oldest" lets the oldest message go, "refuse_newest" refuses the new one to its
        /// publisher (reason 0x97; before version 5 the connection ends).
        pub session_queue_overflow: SessionOverflow = SessionOverflow::DropOldest;
        /// Highest QoS of messages from clients, and of subscriptions.
        pub qos_max: u16 = 2, in 0..=2;
        /// Whether messages go out with the QoS of the subscription, also those that were published with a lower one.
        pub upgrade_outgoing_qos: bool = false;
        /// Whether clients may have messages retained.
        pub retain: bool = true;
        /// Whether filters may have wildcards.
        pub wildcard_subscriptions: bool = true;
        /// Whether subscriptions may have identifiers (version 5).
        pub subscription_identifiers: bool = true;
        /// Whether filters may begin with $share/.
        pub shared_subscriptions: bool = true;
        /// Whether a client may leave its identifier to the broker.
        pub assigned_client_ids: bool = true;
        /// Longest keep-alive: clients of version 5 are told to keep it (Server Keep Alive), older ones that ask for more are refused.
        /// 0 for no bound.
        pub keep_alive_ms_max: Milliseconds = Milliseconds(0), in 0..=65_535_000;
        /// Largest packet from a client (Maximum Packet Size); 0 for as large as a message may make it.
        pub packet_bytes_max: ByteSize = ByteSize(0), in 0..=256 * MIB - 1;
        /// What version 5 clients that ask for it may begin their response topics with (Response Information); {client_id} stands for
        /// their identifier.
        pub response_information: Option<String> = None, in 1..=1024, example "\"responses/{client_id}/\"";
        /// Whether a client that shows a certificate is the user it names (tls.certificate_login) even if it gives another name and a
        /// password; else the certificate counts for clients that give none.
        pub certificate_wins: bool = false;
        /// How often the topics below $SYS/broker are brought up to date, which have Mosquitto's names; 0 for never.
        pub sys_interval_ms: Milliseconds = Milliseconds(10_000), in 0..=DAY_MS;
        /// Where version 5 clients are sent when this broker shuts down (Server Reference).
        pub server_reference: Option<String> = None, in 1..=1024, example "\"other.example:1883\"";
    }
}

choice! {
    /// What a full queue of a session does.
    pub enum SessionOverflow {
        /// The oldest message goes, to the dead letters if a policy says where they are.
        DropOldest = "drop_oldest",
        /// The new message is refused.
        RefuseNewest = "refuse_newest",
    }
}

section! {
    /// Log lines on standard error.
    pub struct LogSettings {
        /// "text" for people, "json" for collectors.
        pub format: LogFormat = LogFormat::Text;
        /// "error", "warn", "info", "debug" or "trace".
        pub level: LogLevel = LogLevel::Info;
    }
}

choice! {
    /// How log lines look.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// The least important log lines that are written.
    pub enum LogLevel {
        /// Something failed and needs an operator.
        Error = "error",
        /// Something is about to need one.
        Warn = "warn",
        /// Life cycle of the broker and its connections.
        Info = "info",
        /// What clients do.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

section! {
    /// What happens on SIGTERM and SIGINT.
    pub struct ShutdownSettings {
        /// Time for connections to finish before they are cut.
        pub drain_ms_max: Milliseconds = Milliseconds(5_000), in 0..=600_000;
    }
}

section! {
    /// A user and what it may do.
    pub struct UserSettings {
        /// The login name.
        pub name: String = String::new(), in 1..=255, example "\"orders\"";
        /// The password in clear. Prefer password_hash; exactly one of the two is needed.
        pub password: Option<Secret> = None, in 1..=1024;
        /// Output of `crossdock hash-password`, or a RabbitMQ SHA-256 or SHA-512 hash.
        pub password_hash: Option<Secret> = None, in 1..=1024, example "\"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\"";
        /// "administrator", "monitoring", "policymaker" or "management", as in RabbitMQ.
        pub tags: Vec<String> = Vec::new();
        /// What the user may do, per virtual host. Nothing where there is no entry.
        pub permissions: Vec<PermissionSettings> = Vec::new();
    }
}

section! {
    /// Regular expressions over names of queues and exchanges. An empty one allows nothing.
    pub struct PermissionSettings {
        /// The virtual host.
        pub vhost: String = "/".into(), in 1..=255;
        /// Names that may be declared, changed and deleted.
        pub configure: String = String::new(), in 0..=1024, example "\"^orders\\\\..*\"";
        /// Exchanges and topics that may be published to; queues that may be bound, and sent to by SQS. The default exchange is
        /// "amq.default": whoever may publish to it may publish to all queues by AMQP and STOMP.
        pub write: String = String::new(), in 0..=1024, example "\".*\"";
        /// Queues that may be consumed from and purged; exchanges and topics that may be bound from, and subscribed.
        pub read: String = String::new(), in 0..=1024, example "\".*\"";
    }
}
