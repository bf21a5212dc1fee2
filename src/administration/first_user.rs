//! The administrator of the first start.

use anyhow::{Context, Result};
use crossdock_core::DocumentChange;

use super::{Administration, Made, PermissionRecord};
use crate::auth::{ADMINISTRATOR, GeneratedPassword, PasswordHash, ScramSecret, UserRecord, first_user};

/// Where versions before this one kept the generated administrator: the name, and the password's hash.
const FORMER_KIND: &str = "user";

/// Where the secret is that unknown users' salts come from.
const SECRET_KIND: &str = "secret";
const SCRAM_SECRET: &str = "scram";

impl Administration {
    /// Unknown users look the same in every run: the secret is made in the first one, and kept.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn ensure_scram_secret(&self) -> Result<()> {
        let kept = self.broker.documents(SECRET_KIND).into_iter().find(|(key, _)| key.as_str() == SCRAM_SECRET);
        let secret = match kept.and_then(|(_, secret)| ScramSecret::parse(&secret)) {
            Some(secret) => secret,
            None => self.make_scram_secret()?,
        };
        self.authenticator.keep_scram_secret(secret);
        Ok(())
    }

    fn make_scram_secret(&self) -> Result<ScramSecret> {
        let secret = ScramSecret::create().context("the operating system gives no random numbers")?;
        let document = Some(secret.expose().to_vec().into());
        self.broker.change_documents(vec![DocumentChange { kind: SECRET_KIND, key: SCRAM_SECRET.into(), document }]);
        Ok(secret)
    }

    /// Brings the administrator along whom an earlier version made; as there, not if the configuration has users.
    fn adopt_former_administrator(&self) -> Result<Option<Made>> {
        let mut made = None;
        let former = self.broker.documents(FORMER_KIND);
        for (name, hash) in former.into_iter().filter(|_| self.declared.users.is_empty()) {
            let password_hash = PasswordHash::parse(std::str::from_utf8(&hash)?)?;
            let tags = vec![ADMINISTRATOR.to_owned()];
            let record = UserRecord { name: name.to_string(), password_hash: Some(password_hash), tags };
            made = Some(self.make_administrator(record)?);
            self.broker.change_documents(vec![DocumentChange { kind: FORMER_KIND, key: name, document: None }]);
        }
        Ok(made)
    }

    /// Makes an administrator with a random password, if there is nobody who could log in. Waits until that is durable.
    ///
    /// # Errors
    /// The password cannot be hashed, or the journal has failed.
    pub async fn ensure_administrator(&self) -> Result<Option<GeneratedPassword>> {
        if let Some(adopted) = self.adopt_former_administrator()? {
            self.durable(adopted).await?;
        }
        if self.declared.dev || !self.users().is_empty() {
            return Ok(None);
        }
        let (record, generated) = first_user()?;
        let made = self.make_administrator(record)?;
        self.durable(made).await?;
        Ok(Some(generated))
    }

    /// Gives the user everything in the configuration's vhosts.
    fn make_administrator(&self, record: UserRecord) -> Result<Made> {
        let name = record.name.clone();
        let mut made = self.put_user(record)?;
        for vhost in &self.declared.vhosts {
            let all = || ".*".to_owned();
            let (user, vhost) = (name.clone(), vhost.clone());
            let everything = PermissionRecord { user, vhost, configure: all(), write: all(), read: all() };
            made = made.and(self.put_permission(everything)?);
        }
        Ok(made)
    }
}
