//! The key that messages are signed with, and its certificate. Made when they are needed first, and kept with the definitions.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crossdock_aws::SignatureVersion;
use crossdock_common::Name;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey as _};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::broker::Engine;

/// The document that keeps key and certificate.
const DOCUMENT: &str = "aws";
const KEY: &str = "sns-signing-key";
const CERTIFICATE: &str = "sns-signing-certificate";
const COMMON_NAME: &str = "sns.crossdock";
/// Signatures that are remembered: those of a message are the same for all subscriptions.
const SIGNATURES_MAX: usize = 1_024;

/// Signs messages.
pub(super) struct Signer {
    engine: Arc<Engine>,
    keys: OnceLock<Option<Keys>>,
    signatures: Mutex<Signatures>,
}

struct Keys {
    /// Of version 2, by aws-lc-rs.
    pair: KeyPair,
    /// Of version 1, which aws-lc-rs does not sign.
    legacy: SigningKey<Sha1>,
    certificate: String,
    path: String,
}

#[derive(Default)]
struct Signatures {
    known: HashMap<[u8; 32], String>,
    order: VecDeque<[u8; 32]>,
}

impl Signatures {
    fn keep(&mut self, of: [u8; 32], signature: String) {
        if self.known.insert(of, signature).is_none() {
            self.order.push_back(of);
        }
        if self.order.len() > SIGNATURES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Signer {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, keys: OnceLock::new(), signatures: Mutex::default() }
    }

    fn keys(&self) -> Option<&Keys> {
        let made = || match Keys::load_or_make(&self.engine) {
            Ok(keys) => Some(keys),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "SNS's messages are not signed");
                None
            }
        };
        self.keys.get_or_init(made).as_ref()
    }

    /// Path and PEM text of the certificate.
    pub(super) fn certificate(&self) -> Option<(&str, &str)> {
        self.keys().map(|keys| (keys.path.as_str(), keys.certificate.as_str()))
    }

    /// Takes milliseconds for a text that was not signed lately.
    pub(super) fn sign(&self, version: SignatureVersion, text: &str) -> Option<String> {
        let of: [u8; 32] = Sha256::new().chain_update(version.text()).chain_update(text).finalize().into();
        let known = |signatures: &Signatures| signatures.known.get(&of).cloned();
        if let Some(signature) = known(&self.signatures.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(signature);
        }
        let keys = self.keys()?;
        let signature = BASE64.encode(match version {
            SignatureVersion::One => keys.legacy.try_sign(text.as_bytes()).ok()?.to_vec(),
            SignatureVersion::Two => keys.pair.sign(text.as_bytes()).ok()?,
        });
        self.signatures.lock().unwrap_or_else(PoisonError::into_inner).keep(of, signature.clone());
        Some(signature)
    }
}

impl Keys {
    fn load_or_make(engine: &Engine) -> Result<Self> {
        let documents = engine.broker.documents(DOCUMENT);
        let kept =
            |name: &str| documents.iter().find(|(known, _)| known.as_str() == name).map(|(_, text)| text.clone());
        if let (Some(key), Some(certificate)) = (kept(KEY), kept(CERTIFICATE)) {
            let pair = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(&key[..]), &PKCS_RSA_SHA256)?;
            return Self::of(pair, String::from_utf8(certificate.to_vec()).context("the certificate is no text")?);
        }
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).context("no key can be made")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
        let certificate = params.self_signed(&pair).context("no certificate can be made")?.pem();
        let keep = |name: &str, text: Vec<u8>| {
            engine.broker.set_document(DOCUMENT, &Name::from(name), Some(text.into()));
        };
        keep(KEY, pair.serialize_der());
        keep(CERTIFICATE, certificate.clone().into_bytes());
        Self::of(pair, certificate)
    }

    fn of(pair: KeyPair, certificate: String) -> Result<Self> {
        let legacy = rsa::PrivateKey::from_pkcs8_der(pair.serialized_der()).context("the key cannot be read")?;
        let sum = Sha256::digest(&certificate);
        let id: String = sum[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("/SimpleNotificationService-{id}.pem");
        Ok(Self { legacy: SigningKey::new(legacy), pair, certificate, path })
    }
}
