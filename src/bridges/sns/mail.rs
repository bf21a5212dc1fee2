//! E-mail by SMTP, through the server that the operator has configured.

use std::time::Duration;

use crossdock_aws::outward::Record;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::web::Outcome;
use crate::config::AwsSinkSettings;

/// What AWS writes where a message has no subject.
const SUBJECT: &str = "AWS Notification Message";

/// Sends e-mail from one address, each message over a connection of its own.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Whether mail can be sent by these settings.
///
/// # Errors
/// What is wrong with them.
pub fn check_mail(settings: &AwsSinkSettings) -> Result<(), String> {
    Mail::new(settings, Duration::from_secs(1)).map(drop)
}

impl Mail {
    /// # Errors
    /// The URL or the sender is none.
    pub(super) fn new(settings: &AwsSinkSettings, timeout: Duration) -> Result<Self, String> {
        let url = settings.url.as_deref().unwrap_or_default();
        if url.contains('@') {
            return Err("user and password have settings of their own".to_owned());
        }
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|error| error.to_string())?;
        let builder = builder.timeout(Some(timeout));
        let builder = match (&settings.user, &settings.password) {
            (Some(user), Some(password)) => {
                builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()))
            }
            (None, None) => builder,
            _ => return Err("user and password are needed, or neither".to_owned()),
        };
        let from = settings.from.as_deref().unwrap_or_default().parse();
        let from = from.map_err(|error| format!("the sender is no address: {error}"))?;
        Ok(Self { transport: builder.build(), from })
    }

    pub(super) async fn send(&self, record: &Record) -> Outcome {
        let message = match self.message(record) {
            Ok(message) => message,
            Err(reason) => return Outcome::Refused(reason),
        };
        match self.transport.send(message).await {
            Ok(_) => Outcome::Accepted,
            Err(error) if error.is_permanent() => Outcome::Refused(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
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
