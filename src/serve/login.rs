//! Who may come in: users of the configuration, and the administrator of the first start.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use crossdock_common::Name;
use crossdock_core::{Grant, Permissions};

use crate::auth::{Authenticator, AuthenticatorOptions, PasswordHash, Permission, UserRecord, Users, ensure_admin};
use crate::broker::Engine;
use crate::config::{Settings, Vhosts};
use crate::http::GUEST;

/// Kind of the documents that hold generated users.
const USER_DOCUMENT: &str = "user";

/// An authenticator with the users of the configuration.
pub(super) fn authenticator(settings: &Settings) -> Result<Authenticator> {
    let users = Users::from_settings(&settings.users).context("a password cannot be hashed")?;
    Authenticator::new(users, AuthenticatorOptions::from(settings)).context("a password cannot be hashed")
}

/// Adds the administrator (made at the first start, if the configuration names no user), and sets permissions.
pub(super) async fn apply(engine: &Arc<Engine>, settings: &Settings) -> Result<()> {
    let mut users = (*engine.authenticator.users()).clone();
    if users.is_empty() && !settings.dev {
        add_administrator(engine, settings, &mut users).await?;
    }
    engine.broker.set_permissions(permissions(&users, settings)?);
    engine.authenticator.replace_users(users);
    Ok(())
}

async fn add_administrator(engine: &Engine, settings: &Settings, users: &mut Users) -> Result<()> {
    let stored = engine.broker.documents(USER_DOCUMENT);
    if let Some((name, hash)) = stored.first() {
        let password_hash =
            PasswordHash::parse(std::str::from_utf8(hash)?).context("the stored password is damaged")?;
        users.insert(administrator(name, password_hash, &settings.vhosts));
        return Ok(());
    }
    let Some(generated) = ensure_admin(users, &settings.vhosts)? else { return Ok(()) };
    let hash = users.get(&generated.user).context("the administrator was just made")?.password_hash.expose().to_owned();
    engine.broker.set_document(USER_DOCUMENT, &Name::from(generated.user.as_str()), Some(Bytes::from(hash)));
    engine.flushed().await;
    // The one place where a password is shown, and the one time: on the terminal, not in the log.
    eprintln!("\n  First start: user '{}' has the password  {}\n", generated.user, generated.password.expose());
    Ok(())
}

fn administrator(name: &Name, password_hash: PasswordHash, vhosts: &Vhosts) -> UserRecord {
    UserRecord {
        name: name.to_string(),
        password_hash,
        tags: vec!["administrator".to_owned()],
        permissions: vhosts.names().map(Permission::all).collect(),
    }
}

fn permissions(users: &Users, settings: &Settings) -> Result<Permissions> {
    if settings.dev {
        return Ok(Permissions::everything());
    }
    let mut permissions = Permissions::default();
    if !settings.aws.verify_signatures && users.get(GUEST).is_none() {
        // As documented: then every caller may do everything. Nobody else can log in under that name.
        permissions.grant(GUEST.into(), "/".into(), Grant::new(".*", ".*", ".*").context("a pattern for everything")?);
    }
    for user in users.iter() {
        for permission in &user.permissions {
            let grant = Grant::new(&permission.configure, &permission.write, &permission.read)
                .with_context(|| format!("a permission of user '{}' is not a regular expression", user.name))?;
            permissions.grant(user.name.as_str().into(), permission.vhost.as_str().into(), grant);
        }
    }
    Ok(permissions)
}
