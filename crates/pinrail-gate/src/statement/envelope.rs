//! The DSSE envelope (protocol version 1.0.0): a statement's bytes with signatures over exactly them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use pinrail_domain::canonical::{self, NotCanonical};
use serde::{Deserialize, Serialize};

use super::{PREDICATE_TYPE, PublicKey, STATEMENT_TYPE, SigningKey, Statement};

/// A payload with its signatures; without any it is a statement that nobody vouches for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Base64, of either alphabet.
    pub payload: String,
    pub payload_type: String,
    pub signatures: Vec<Signature>,
}

/// A signature over the payload and its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// A hint whose it is: nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
    /// Base64, of either alphabet.
    pub sig: String,
}

/// Why an envelope isn't believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFailed {
    #[error("the payload is of type `{0}`; a gate's statement is `{PAYLOAD_TYPE}`")]
    PayloadType(String),
    #[error("the {0} is not base64")]
    NotBase64(&'static str),
    #[error("the envelope has more than {SIGNATURES_MAX} signatures")]
    TooMany,
    #[error("the statement is not signed")]
    Unsigned,
    #[error("no key to trust was given")]
    NoKey,
    #[error(
        "none of the {signatures} signatures is a trusted key's over exactly this payload: it was changed, or somebody else signed it (by: {by})"
    )]
    NotTrusted { signatures: usize, by: String },
    #[error("the payload is not an in-toto statement")]
    NotAStatement(#[source] serde_json::Error),
    #[error("the statement is of another kind: {0}")]
    OtherKind(String),
    #[error("the statement contradicts itself: {0}")]
    Contradicts(&'static str),
}

/// What in-toto statements are in envelopes.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// One is ours; a few more may be others'.
const SIGNATURES_MAX: usize = 16;

impl Envelope {
    /// Wraps a statement in its canonical JSON, signed where there is a key.
    pub fn seal(statement: &Statement, key: Option<&SigningKey>) -> Result<Envelope, NotCanonical> {
        let payload = canonical::to_vec(statement)?;
        let signatures = key.map(|key| Signature {
            keyid: Some(key.public().id()),
            sig: STANDARD.encode(key.sign(&encoded(PAYLOAD_TYPE, &payload))),
        });
        Ok(Envelope {
            payload: STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: signatures.into_iter().collect(),
        })
    }

    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.signatures.is_empty()
    }

    /// The statement, whoever signed it: to show, never to decide by.
    pub fn unverified(&self) -> Result<Statement, VerifyFailed> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(VerifyFailed::PayloadType(self.payload_type.clone()));
        }
        read(&decoded(&self.payload).ok_or(VerifyFailed::NotBase64("payload"))?)
    }
}

/// The statement in an envelope that at least one trusted key signed; anything else is refused.
pub fn verify(envelope: &Envelope, trusted: &[PublicKey]) -> Result<Statement, VerifyFailed> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(VerifyFailed::PayloadType(envelope.payload_type.clone()));
    }
    // One reading of the payload, for the signature and for the statement.
    let payload = decoded(&envelope.payload).ok_or(VerifyFailed::NotBase64("payload"))?;
    if envelope.signatures.is_empty() {
        return Err(VerifyFailed::Unsigned);
    }
    if envelope.signatures.len() > SIGNATURES_MAX {
        return Err(VerifyFailed::TooMany);
    }
    if trusted.is_empty() {
        return Err(VerifyFailed::NoKey);
    }
    let signed = encoded(&envelope.payload_type, &payload);
    let mut good = false;
    for signature in &envelope.signatures {
        let sig = decoded(&signature.sig).ok_or(VerifyFailed::NotBase64("signature"))?;
        good |= trusted.iter().any(|key| key.verifies(&signed, &sig));
    }
    if !good {
        let by =
            envelope.signatures.iter().map(|signature| signature.keyid.as_deref().unwrap_or("no key id"));
        let by: Vec<String> =
            by.map(|id| id.chars().filter(char::is_ascii_graphic).take(64).collect()).collect();
        return Err(VerifyFailed::NotTrusted { signatures: by.len(), by: by.join(", ") });
    }
    read(&payload)
}

/// DSSE's pre-authentication encoding: what is signed.
pub(super) fn encoded(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

fn read(payload: &[u8]) -> Result<Statement, VerifyFailed> {
    let statement: Statement = serde_json::from_slice(payload).map_err(VerifyFailed::NotAStatement)?;
    if statement.kind != STATEMENT_TYPE {
        return Err(VerifyFailed::OtherKind(statement.kind));
    }
    if statement.predicate_type != PREDICATE_TYPE {
        return Err(VerifyFailed::OtherKind(statement.predicate_type));
    }
    match statement.contradiction() {
        Some(what) => Err(VerifyFailed::Contradicts(what)),
        None => Ok(statement),
    }
}

/// Base64 of either alphabet, padded or not.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}
