//! Who may come in: users of the configuration, those made at run time, and the administrator of the first start.

use anyhow::{Context, Result};

use crate::auth::{Authenticator, AuthenticatorOptions, Users};
use crate::broker::Engine;
use crate::config::Settings;

/// An authenticator with the users of the configuration.
pub(super) fn authenticator(settings: &Settings) -> Result<Authenticator> {
    let users = Users::from_settings(&settings.users).context("a password cannot be hashed")?;
    Authenticator::new(users, AuthenticatorOptions::from(settings)).context("a password cannot be hashed")
}

/// Makes what the first start makes: the administrator, if nobody could log in, and the secret behind unknown users.
pub(super) async fn ensure_administrator(engine: &Engine) -> Result<()> {
    engine.administration.ensure_scram_secret()?;
    if let Some(generated) = engine.administration.ensure_administrator().await? {
        // The one place where a password is shown, and the one time: on the terminal, not in the log.
        eprintln!("\n  First start: user '{}' has the password  {}\n", generated.user, generated.password.expose());
    }
    Ok(())
}
