//! The administrator of the first start.

use anyhow::Result;
use crossdock_core::DocumentChange;

use super::{Administration, Made, PermissionRecord};
use crate::auth::{ADMINISTRATOR, GeneratedPassword, PasswordHash, UserRecord, first_user};

/// Where versions before this one kept the generated administrator: the name, and the password's hash.
const FORMER_KIND: &str = "user";

impl Administration {
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
