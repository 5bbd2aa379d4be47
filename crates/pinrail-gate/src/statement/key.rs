//! Ed25519 keys, as people hand them over.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinrail_domain::digest::Digest;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::envelope::decoded;

/// A key that signs statements. It is never shown (I15).
pub struct SigningKey(Ed25519KeyPair);

/// The key that statements are verified with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// Why a text is no key; it never says what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    #[error(
        "not an Ed25519 signing key: expected what `pinrail gate keygen` prints (32 bytes in base64), or a PKCS#8 key in PEM or base64"
    )]
    Signing,
    #[error(
        "not an Ed25519 public key: expected what `pinrail gate keygen` prints (32 bytes in base64), or a public key in PEM or base64"
    )]
    Public,
}

const KEY_BYTES: usize = 32;
/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl SigningKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY_BYTES]) -> SigningKey {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        SigningKey(pair.expect("32 bytes are an Ed25519 seed"))
    }

    /// Reads a key: 32 bytes in base64, or PKCS#8 in PEM or base64.
    pub fn parse(text: &str) -> Result<SigningKey, NotAKey> {
        let bytes = body(text, "PRIVATE KEY").ok_or(NotAKey::Signing)?;
        if let Ok(seed) = <&[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
            return Ok(SigningKey::from_seed(seed));
        }
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).map(SigningKey).map_err(|_| NotAKey::Signing)
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("Ed25519 public keys have 32 bytes"))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {})", self.public())
    }
}

impl PublicKey {
    /// Reads a key: 32 bytes in base64, or a SubjectPublicKeyInfo in PEM or base64.
    pub fn parse(text: &str) -> Result<PublicKey, NotAKey> {
        let bytes = body(text, "PUBLIC KEY").ok_or(NotAKey::Public)?;
        let bare = bytes.strip_prefix(&SPKI_PREFIX[..]).unwrap_or(&bytes);
        bare.try_into().map(PublicKey).map_err(|_| NotAKey::Public)
    }

    /// What envelopes name the key by: the SHA-256 of its 32 bytes, in hex.
    #[must_use]
    pub fn id(&self) -> String {
        Digest::of(&self.0).hex()
    }

    /// The key as other tools read it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut der = SPKI_PREFIX.to_vec();
        der.extend_from_slice(&self.0);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The bytes of a PEM block with this label, or of base64 alone.
fn body(text: &str, label: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let base64 = match text.strip_prefix(&format!("-----BEGIN {label}-----")) {
        Some(rest) => rest.split_once("-----END")?.0,
        None => text,
    };
    let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    decoded(&base64).filter(|bytes| !bytes.is_empty())
}
