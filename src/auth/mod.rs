//! Who someone is: users, password hashes, SASL PLAIN, and the TLS side of it.
//!
//! Invariant: no type in here shows a password or a hash through `Debug`, `Display` or an error.

mod authenticator;
mod password;
mod plain;
mod scram;
pub mod tls;
mod user;
mod verified;

pub use authenticator::{AuthenticationError, Authenticator, AuthenticatorOptions, Principal, USER_NAME_BYTES_MAX};
pub use password::{PASSWORD_BYTES_MAX, PasswordHash, PasswordHashError};
pub use plain::{PlainCredentials, PlainError};
pub use scram::{ScramError, ScramExchange, ScramKeys, ScramSecret};
pub use user::{ADMINISTRATOR, GeneratedPassword, UserRecord, Users, first_user};
