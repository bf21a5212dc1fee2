//! The settings of the SQS and SNS APIs.

use std::path::PathBuf;

use crossdock_aws::Namespaces;

use crate::config::endpoints::AllowedEndpoints;
use crate::config::scalar::choice;
use crate::config::secret::Secret;
use crate::config::section::section;
use crate::config::units::Milliseconds;

section! {
    /// The SQS and SNS APIs.
    pub struct AwsSettings {
        /// The account that is the virtual host "/", in queue URLs and ARNs: 12 digits. Others have virtual hosts "aws/ACCOUNT".
        pub account_id: String = "000000000000".into(), in 12..=12;
        /// The region that is the virtual host "/", and that of callers who sign for none. Others have virtual hosts "aws/ACCOUNT/REGION",
        /// which are made when somebody who may makes something there.
        pub region: String = "us-east-1".into(), in 1..=64;
        /// Check request signatures. Without it every caller may do everything, so it can only be turned off on a loopback address.
        pub verify_signatures: bool = true;
        /// Where whoever gets messages from SNS reaches this API, for the URLs in them: http or https, host and port. Without this
        /// setting it is the address of the listener.
        pub public_url: Option<String> = None, in 1..=1024, example "\"https://sns.example.com\"";
        /// Sign notifications in SQS queues, too, as AWS does: SignatureVersion, Signature and SigningCertURL. The signature of a
        /// message is made when it is received first, and takes a core 2.4 ms, 0.3 ms for topics with SignatureVersion 2; all else that a
        /// receive does for a message takes 0.02 ms. Other connections of the same thread wait meanwhile.
        pub sign_queue_notifications: bool = false;
        /// Access keys and the users they act for.
        pub keys: Vec<AwsKeySettings> = Vec::new();
        /// Rules of AWS that are in the way of local development: with true, a rule does not hold. The pauses of 60 seconds
        /// are there in development mode, too.
        pub quirks: AwsQuirksSettings = AwsQuirksSettings::default();
        /// How SNS sends messages to HTTP and HTTPS endpoints.
        pub deliveries: AwsDeliveriesSettings = AwsDeliveriesSettings::default();
        /// Where SNS's messages go that are for nobody with a URL.
        pub sinks: AwsSinksSettings = AwsSinksSettings::default();
    }
}

section! {
    /// How SNS sends messages to HTTP and HTTPS endpoints.
    pub struct AwsDeliveriesSettings {
        /// Where messages may go beside public addresses: "loopback", "private", "link_local", and networks or addresses. Hosts are
        /// resolved for each connection, and what counts is the address. Metadata services such as 169.254.169.254 have to be named
        /// by their address. Development mode allows "loopback" and "private", too.
        pub allow: AllowedEndpoints = AllowedEndpoints::default(), example "[\"loopback\", \"10.0.0.0/8\"]";
        /// Time for a request and its answer; AWS has 15 s.
        pub timeout_ms: Milliseconds = Milliseconds(15_000), in 100..=60_000;
        /// Messages that are on their way at the same time, to all endpoints together. One endpoint has 16 of them, one that fails has 1.
        pub concurrent_max: u32 = 256, in 1..=10_000;
        /// Authorities that certificates of HTTPS endpoints and of the server of `aws.sinks.email` may come from, beside those of the
        /// machine: a PEM file.
        pub authorities: Option<PathBuf> = None, example "\"certs/ca.pem\"";
    }
}

section! {
    /// Where SNS's messages go that are for nobody with a URL.
    pub struct AwsSinksSettings {
        /// Mobile push.
        pub application: AwsSinkSettings = AwsSinkSettings::default();
        /// E-mail and e-mail-json.
        pub email: AwsSinkSettings = AwsSinkSettings::default();
        /// Text messages.
        pub sms: AwsSinkSettings = AwsSinkSettings::default();
        /// Functions.
        pub lambda: AwsSinkSettings = AwsSinkSettings::default();
        /// Delivery streams.
        pub firehose: AwsSinkSettings = AwsSinkSettings::default();
    }
}

section! {
    /// Where messages of one kind go.
    pub struct AwsSinkSettings {
        /// "outbox": the queue aws.sns.outbox, which keeps the last 10,000 for whoever reads it. "webhook": POSTed as JSON to `url`.
        /// "directory": a file of JSON for each in `path`. "smtp": by e-mail through the server at `url`, for `aws.sinks.email` only.
        pub to: AwsSink = AwsSink::Outbox;
        /// For "webhook"; for "smtp" as in "smtps://mail.example.com", "smtp://mail.example.com:587?tls=required" or, without TLS,
        /// "smtp://127.0.0.1:25". It is the operator's, so it may be anywhere.
        pub url: Option<String> = None, in 1..=1024, example "\"http://127.0.0.1:8080/text-messages\"";
        /// For "smtp": the sender of all messages.
        pub from: Option<String> = None, in 3..=320, example "\"no-reply@example.com\"";
        /// For "smtp": the name at the server, where it wants one.
        pub user: Option<String> = None, in 1..=320, example "\"crossdock\"";
        /// For "smtp": the password of `user`.
        pub password: Option<Secret> = None, in 1..=1024, example "\"change me\"";
        /// For "directory".
        pub path: Option<PathBuf> = None, example "\"/var/spool/crossdock/sms\"";
    }
}

choice! {
    /// Where messages of one kind go.
    pub enum AwsSink {
        /// A queue of the broker.
        Outbox = "outbox",
        /// A URL.
        Webhook = "webhook",
        /// Files.
        Directory = "directory",
        /// E-mail.
        Smtp = "smtp",
    }
}

section! {
    /// Rules of AWS that are in the way of local development: with true, a rule does not hold. The pauses of 60 seconds are
    /// there in development mode, too.
    pub struct AwsQuirksSettings {
        /// A queue may be made again at once after it was deleted; AWS wants 60 seconds in between.
        pub recreate_at_once: bool = false;
        /// A queue may be purged again at once; AWS wants 60 seconds in between.
        pub purge_at_once: bool = false;
        /// An account's queues and topics are the same in every region. Development mode has it so if nothing is said.
        pub regions_together: Option<bool> = None, example "true";
    }
}

section! {
    /// An access key and the user it acts for.
    pub struct AwsKeySettings {
        /// The public half.
        pub access_key_id: String = String::new(), in 1..=128, example "\"AKIDEXAMPLE\"";
        /// The secret half.
        pub secret_access_key: Secret = Secret::default(), in 1..=256, example "\"change me\"";
        /// The user whose permissions apply: one of `users`, or one who is made at run time.
        pub user: String = String::new(), in 1..=255, example "\"orders\"";
        /// The account whose resources it sees: 12 digits. Without it, `aws.account_id`. The user needs permissions in the virtual
        /// host "aws/ACCOUNT" of another one, which then is named among `vhosts`.
        pub account_id: Option<String> = None, in 12..=12, example "\"111122223333\"";
    }
}

impl AwsSettings {
    /// Which accounts and regions there are. In development mode, `dev`, regions are together if nothing is said.
    pub fn namespaces(&self, dev: bool) -> Namespaces {
        let regions_together = self.quirks.regions_together.unwrap_or(dev);
        Namespaces { account: self.account_id.clone(), region: self.region.clone(), regions_together }
    }
}
