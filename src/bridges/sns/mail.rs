//! E-mail by SMTP, through the server that the operator has configured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossdock_aws::outward::Record;
use hyper::Uri;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::sync::OnceCell;

use super::web::Outcome;
use crate::config::AwsSinkSettings;

/// What AWS writes where a message has no subject.
const SUBJECT: &str = "AWS Notification Message";
/// Replies that are about the login: it is wanted, not like that, wrong, or not without TLS (RFC 4954).
const LOGIN_REPLIES: [u16; 4] = [530, 534, 535, 538];

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Sends e-mail from one address, each message over a connection of its own.
pub(super) struct Mail {
    settings: AwsSinkSettings,
    /// Authorities beside those of the machine.
    authorities: Option<PathBuf>,
    timeout: Duration,
    /// Made when it is needed first.
    transport: OnceCell<Transport>,
    from: Mailbox,
}

/// Whether mail can be sent by these settings.
///
/// # Errors
/// What is wrong with them.
pub fn check_mail(settings: &AwsSinkSettings) -> Result<(), String> {
    Mail::new(settings, None, Duration::from_secs(1)).map(drop)
}

impl Mail {
    /// # Errors
    /// The URL or the sender is none.
    pub(super) fn new(
        settings: &AwsSinkSettings,
        authorities: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Self, String> {
        builder(settings, timeout)?;
        let from = settings.from.as_deref().unwrap_or_default().parse();
        let from = from.map_err(|error| format!("the sender is no address: {error}"))?;
        Ok(Self { settings: settings.clone(), authorities, timeout, transport: OnceCell::new(), from })
    }

    pub(super) async fn send(&self, record: &Record) -> Outcome {
        let message = match self.message(record) {
            Ok(message) => message,
            Err(reason) => return Outcome::Refused(reason),
        };
        let transport = match self.transport.get_or_try_init(|| self.connectable()).await {
            Ok(transport) => transport,
            Err(reason) => return Outcome::Failed(reason),
        };
        match transport.send(message).await {
            Ok(_) => Outcome::Accepted,
            Err(error) if is_about_the_message(&error) => Outcome::Refused(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Reads the files that it takes: the machine's authorities, and those of the configuration.
    async fn connectable(&self) -> Result<Transport, String> {
        let (settings, authorities, timeout) = (self.settings.clone(), self.authorities.clone(), self.timeout);
        let made = tokio::task::spawn_blocking(move || {
            let builder = builder(&settings, timeout)?;
            let builder = match authorities {
                Some(file) => believing(builder, settings.url.as_deref().unwrap_or_default(), &file)?,
                None => builder,
            };
            Ok(builder.build())
        });
        made.await.map_err(|error| error.to_string())?
    }

    /// The same id each time it is sent, so that recipients can see that it is the same.
    fn message(&self, record: &Record) -> Result<Message, String> {
        let to: Mailbox = record.endpoint.parse().map_err(|error| format!("the recipient is no address: {error}"))?;
        let host = self.from.email.domain();
        let builder = Message::builder().from(self.from.clone()).to(to);
        let builder = builder.subject(record.subject.as_deref().unwrap_or(SUBJECT));
        let builder = builder.message_id(Some(format!("<{:032x}@{host}>", record.id)));
        let builder = builder.header(ContentType::TEXT_PLAIN);
        builder.body(record.text.clone()).map_err(|error| error.to_string())
    }
}

/// A reply that is final, and not about the operator's name and password: with others the message goes.
fn is_about_the_message(error: &Error) -> bool {
    error.is_permanent() && !error.status().is_some_and(|code| LOGIN_REPLIES.contains(&code.into()))
}

fn builder(settings: &AwsSinkSettings, timeout: Duration) -> Result<AsyncSmtpTransportBuilder, String> {
    let url = settings.url.as_deref().unwrap_or_default();
    if url.contains('@') {
        return Err("user and password have settings of their own".to_owned());
    }
    let builder = Transport::from_url(url).map_err(|error| error.to_string())?.timeout(Some(timeout));
    match (&settings.user, &settings.password) {
        (Some(user), Some(password)) => {
            Ok(builder.credentials(Credentials::new(user.clone(), password.expose().to_owned())))
        }
        (None, None) => Ok(builder),
        _ => Err("user and password are needed, or neither".to_owned()),
    }
}

/// The same with more authorities, where the URL asks for TLS.
fn believing(
    builder: AsyncSmtpTransportBuilder,
    url: &str,
    authorities: &Path,
) -> Result<AsyncSmtpTransportBuilder, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let pem = std::fs::read(authorities).map_err(|error| format!("{}: {error}", authorities.display()))?;
    let parameters = Certificate::from_pem(&pem)
        .and_then(|certificates| TlsParameters::builder(host.to_owned()).add_root_certificate(certificates).build())
        .map_err(|error| format!("{}: {error}", authorities.display()))?;
    let asks_for = |how: &str| uri.query().is_some_and(|query| query.split('&').any(|pair| pair == how));
    Ok(match uri.scheme_str() {
        Some("smtps") => builder.tls(Tls::Wrapper(parameters)),
        _ if asks_for("tls=required") => builder.tls(Tls::Required(parameters)),
        _ if asks_for("tls=opportunistic") => builder.tls(Tls::Opportunistic(parameters)),
        _ => builder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, from: &str) -> AwsSinkSettings {
        AwsSinkSettings { url: Some(url.to_owned()), from: Some(from.to_owned()), ..AwsSinkSettings::default() }
    }

    #[test]
    fn settings_are_checked() {
        for url in ["smtp://127.0.0.1:25", "smtps://mail.example.com", "smtp://mail.example.com:587?tls=required"] {
            assert_eq!(check_mail(&settings(url, "no-reply@example.com")), Ok(()), "{url}");
        }
        assert!(check_mail(&settings("http://mail.example.com", "a@example.com")).is_err());
        assert!(check_mail(&settings("smtp://user:secret@mail.example.com", "a@example.com")).is_err());
        assert!(check_mail(&settings("smtp://mail.example.com", "nobody")).is_err());
        let half = AwsSinkSettings { user: Some("u".to_owned()), ..settings("smtp://h", "a@example.com") };
        assert!(check_mail(&half).is_err());
    }
}
