//! Canary texts: what an embedder said of them when it was trusted, to find out when something else answers under
//! its name. Embedded again, a text gets the same vector up to rounding; from another model it doesn't.

use pinrail_domain::state::index::Index;
use pinrail_domain::state::{Content, Layer, Space, SpaceName, StateKey};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_vectors::arena::{BadVector, Shape};
use pinrail_vectors::query::Query;
use pinrail_vectors::rescore::score;
use serde::{Deserialize, Serialize};

use super::super::{Change, Decided, NewValue, States, WriteAs, WriteError};
use super::VectorSpace;
use pinrail_domain::digest::Digest;
use pinrail_domain::release::Metric;

/// A text and the vector that the embedder gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    pub text: String,
    pub vector: Vec<f32>,
}

/// How embedding the texts again came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub at: Timestamp,
    pub same: bool,
    /// The smallest cosine between a text's vector then and now, and its text.
    pub worst: f64,
    pub worst_text: String,
    pub texts: usize,
}

/// Why canaries aren't kept or compared.
#[derive(Debug, thiserror::Error)]
pub enum CanariesRefused {
    #[error("an embedder has 1 to {CANARIES_MAX} canary texts; these are {0}")]
    Count(usize),
    #[error("a canary text holds 1 to {TEXT_BYTES_MAX} bytes")]
    Text,
    #[error("the vector of `{text}` is refused")]
    Vector { text: String, source: BadVector },
    #[error("the embedder has no canary texts")]
    None,
    #[error("`{0}` was not embedded again")]
    Missing(String),
}

/// Embedding them again costs a provider's call at every release.
pub const CANARIES_MAX: usize = 100;
/// Embedders read some hundred tokens.
pub const TEXT_BYTES_MAX: usize = 4_000;
/// The same model on other hardware, or in another batch, differs by some 1e-4; a revision of a model by far more.
pub const SAME_COSINE: f64 = 0.999;
/// Where they are kept: no space of a caller has such a name.
pub(super) const CANARIES: &str = "~canaries";
/// Ends the key of the last check.
const CHECK: &str = "check";

impl States {
    /// Keeps the texts and vectors of an embedder that is trusted now, in place of earlier ones.
    pub async fn canaries_set(
        &self,
        of: &VectorSpace,
        canaries: &[Canary],
    ) -> Result<(), WriteError<CanariesRefused>> {
        if !(1..=CANARIES_MAX).contains(&canaries.len()) {
            return Err(WriteError::Refused(CanariesRefused::Count(canaries.len())));
        }
        check(of, canaries).map_err(WriteError::Refused)?;
        self.keep_embedder(of).await?;
        let author = self.author(WriteAs::Operator).await.expect("a fact needs nobody's leave");
        let put = |name: &str, json: String| {
            let value = Some(NewValue { json, vector: None });
            Change { key: key(of, name), value, parents: Vec::new() }
        };
        let decide = |index: &Index| {
            let prefix = key(of, "");
            let old = index.iter(None).map(|(_, key)| key.clone());
            let old = old.filter(|key| key.as_str().starts_with(prefix.as_str()));
            let delete = |key: StateKey| Change { key, value: None, parents: Vec::new() };
            let json = |canary| serde_json::to_string(canary).expect("a canary is plain data");
            let puts =
                canaries.iter().map(|canary| put(&Digest::of(canary.text.as_bytes()).short(), json(canary)));
            Ok(Decided { changes: old.map(delete).chain(puts).collect(), expect: None })
        };
        self.write(&author, &space(of), None, decide).await.map(drop)
    }

    /// The texts of an embedder with their vectors, and how the last check went.
    pub async fn canaries(&self, of: &VectorSpace) -> Result<(Vec<Canary>, Option<Checked>), StoreError> {
        let prefix = key(of, "");
        let seqs = self
            .look(&space(of), |index| {
                let own = index.iter(None).filter(|(_, key)| key.as_str().starts_with(prefix.as_str()));
                own.map(|(seq, _)| seq).collect::<Vec<_>>()
            })
            .await?;
        let (mut canaries, mut last) = (Vec::new(), None);
        for record in self.records(&seqs).await? {
            let Content::Value(value) = &record.content else { continue };
            let damaged = |error| StoreError::Damaged(format!("record {}: {error}", record.operation.seq));
            if record.operation.key == key(of, CHECK) {
                last = Some(serde_json::from_str(&value.json).map_err(damaged)?);
            } else {
                canaries.push(serde_json::from_str(&value.json).map_err(damaged)?);
            }
        }
        Ok((canaries, last))
    }

    /// Compares what the embedder says of its texts now with what it said then, and keeps the outcome.
    pub async fn canaries_check(
        &self,
        of: &VectorSpace,
        now: &[Canary],
    ) -> Result<Checked, WriteError<CanariesRefused>> {
        check(of, now).map_err(WriteError::Refused)?;
        let (then, _) = self.canaries(of).await?;
        let checked = compare(&then, now, self.parts.clock.now()).map_err(WriteError::Refused)?;
        let author = self.author(WriteAs::Operator).await.expect("a fact needs nobody's leave");
        let json = serde_json::to_string(&checked).expect("a check is plain data");
        let decide = |_: &Index| {
            let value = Some(NewValue { json: json.clone(), vector: None });
            let change = Change { key: key(of, CHECK), value, parents: Vec::new() };
            Ok(Decided { changes: vec![change], expect: None })
        };
        self.write(&author, &space(of), None, decide).await?;
        Ok(checked)
    }
}

fn compare(then: &[Canary], now: &[Canary], at: Timestamp) -> Result<Checked, CanariesRefused> {
    let mut worst: Option<(f64, &str)> = None;
    for canary in then {
        let again = now.iter().find(|again| again.text == canary.text);
        let again = again.ok_or_else(|| CanariesRefused::Missing(canary.text.clone()))?;
        let vector = |source| CanariesRefused::Vector { text: canary.text.clone(), source };
        let shape = Shape { dims: canary.vector.len(), metric: Metric::Cosine };
        let query = Query::new(shape, &canary.vector).map_err(vector)?;
        let cosine = f64::from(score(&query, &again.vector).map_err(vector)?);
        if worst.is_none_or(|(least, _)| cosine < least) {
            worst = Some((cosine, &canary.text));
        }
    }
    let (worst, text) = worst.ok_or(CanariesRefused::None)?;
    Ok(Checked { at, same: worst >= SAME_COSINE, worst, worst_text: text.to_owned(), texts: then.len() })
}

fn check(of: &VectorSpace, canaries: &[Canary]) -> Result<(), CanariesRefused> {
    for Canary { text, vector } in canaries {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(CanariesRefused::Text);
        }
        let refused = |source| CanariesRefused::Vector { text: text.clone(), source };
        Query::new(Shape { metric: Metric::Cosine, ..of.shape() }, vector).map_err(refused)?;
    }
    Ok(())
}

fn space(of: &VectorSpace) -> Space {
    let name = SpaceName::new(CANARIES).expect("the name is short");
    Space { tenant: of.space.tenant.clone(), layer: Layer::Vectors, name }
}

fn key(of: &VectorSpace, name: &str) -> StateKey {
    StateKey::new(&format!("{}/{name}", of.space.name)).expect("a space's name is a part of a key")
}
