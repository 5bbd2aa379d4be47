//! Probes: questions whose answers show that a space is what it was, byte for byte.
//!
//! They are the space's own vectors, chosen by a hash of their keys, so that the same view always asks the same.
//! They are asked exactly: an answer depends on what is visible and on nothing else, neither on the indexes that
//! there happen to be nor on who searched before.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::StateSeq;
use pinrail_domain::state::manifest::Probe;
use pinrail_domain::state::{Content, Space};
use pinrail_store::StoreError;

use super::{Found, Hit, ReadError, Reader, Search, SearchError, States, VectorSpace};

/// Questions of a space: each is a scan of all that is visible.
const PROBES: usize = 8;
/// Results of a question.
const TOP: usize = 10;
/// What the digest of an answer begins with.
const FORM: &[u8] = b"pinrail probe 1\n";

impl States {
    /// Asks a space's probes through somebody's eyes; nothing is noted. A space without an embedder has none.
    pub async fn probes(&self, space: &Space, reader: &Reader) -> Result<Vec<Probe>, ReadError> {
        let Some(of) = self.vector_space_of(space).await? else { return Ok(Vec::new()) };
        let chosen = self.view(space, reader, |sight| {
            let index = sight.index;
            let hashed = sight.shown().iter().map(|place| (hash(index.key(place).as_str()), place)).collect();
            let seq = |(_, place): (u64, usize)| index.seq(place);
            least(hashed).into_iter().map(seq).collect::<Vec<StateSeq>>()
        });
        let chosen = chosen.await?;
        let mut probes = Vec::with_capacity(chosen.len());
        for record in self.records(&chosen).await? {
            let Content::Value(value) = &record.content else { continue };
            let Some(vector) = &value.vector else { continue };
            let digest = self.asked(&of, reader, vector.clone()).await?;
            let (key, seq) = (record.operation.key, record.operation.seq);
            probes.push(Probe { key, seq, digest });
        }
        Ok(probes)
    }

    /// Asks earlier probes again. None for one whose vector was removed or erased since.
    pub async fn probes_again(
        &self,
        space: &Space,
        reader: &Reader,
        probes: &[Probe],
    ) -> Result<Vec<Option<Digest>>, ReadError> {
        let Some(of) = self.vector_space_of(space).await? else { return Ok(vec![None; probes.len()]) };
        let mut answers = Vec::with_capacity(probes.len());
        for probe in probes {
            let record = self.records(&[probe.seq]).await?.into_iter().next();
            let content = record.filter(|record| record.space == *space).map(|record| record.content);
            answers.push(match content {
                Some(Content::Value(value)) => match value.vector {
                    Some(vector) => Some(self.asked(&of, reader, vector).await?),
                    None => None,
                },
                Some(Content::Nothing | Content::Erased) | None => None,
            });
        }
        Ok(answers)
    }

    async fn asked(&self, of: &VectorSpace, reader: &Reader, vector: Vec<f32>) -> Result<Digest, ReadError> {
        let search = Search { vector, k: TOP, filter: None, min_score: None, exact: true };
        let unnoted = Reader { run: None, ..reader.clone() };
        match self.search(of, &unnoted, &search).await {
            Ok(found) => Ok(digest(&found)),
            Err(SearchError::Read(error)) => Err(error),
            Err(error @ (SearchError::Query(_) | SearchError::Top(_))) => {
                Err(ReadError::Store(StoreError::Damaged(format!("a vector of {}: {error}", of.space))))
            }
        }
    }
}

fn digest(found: &Found) -> Digest {
    let mut bytes = FORM.to_vec();
    for Hit { score, record } in &found.hits {
        let key = record.operation.key.as_str().as_bytes();
        bytes.extend((key.len() as u64).to_be_bytes());
        bytes.extend(key);
        bytes.extend(record.operation.seq.0.to_be_bytes());
        bytes.extend(score.to_bits().to_be_bytes());
    }
    Digest::of(&bytes)
}

/// The first of them, without sorting all.
fn least(mut hashed: Vec<(u64, usize)>) -> Vec<(u64, usize)> {
    if hashed.len() > PROBES {
        hashed.select_nth_unstable(PROBES - 1);
        hashed.truncate(PROBES);
    }
    hashed.sort_unstable();
    hashed
}

/// FNV-1a: spreads keys that count upwards, and costs a few nanoseconds.
fn hash(key: &str) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_keys_are_chosen_whatever_their_places() {
        let keys: Vec<String> = (0..1_000).map(|n| format!("k{n}")).collect();
        let chosen = |order: &mut dyn Iterator<Item = usize>| -> Vec<String> {
            let hashed = order.map(|n| (hash(&keys[n]), n)).collect();
            least(hashed).into_iter().map(|(_, n)| keys[n].clone()).collect()
        };
        let forward = chosen(&mut (0..1_000));
        assert_eq!((forward.len(), &forward), (PROBES, &chosen(&mut (0..1_000).rev())));
        assert_eq!(least(vec![(2, 0), (1, 1)]), [(1, 1), (2, 0)]);
    }
}
