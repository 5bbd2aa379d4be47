//! A session's id: it says what any replica must know to go on with the session.
//!
//! `mcp.own.RUN.RANDOM.WHO` is a session with a run of its own, `mcp.of.RUN.RANDOM.WHO` one in a run that its client named. An id
//! grants nothing: whoever sends it is asked for the run as if it named the run itself. That it also says who began the session
//! keeps two callers of one tenant out of each other's by mistake.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{IdempotencyKey, RunId};
use pinrail_domain::time::Entropy;

/// A session's id, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKey {
    /// As it is written; told apart as idempotency keys are.
    pub text: IdempotencyKey,
    pub run: RunId,
    pub owns_run: bool,
    who: String,
}

/// What makes an id one that nobody can guess.
const RANDOM_BYTES: usize = 16;

impl SessionKey {
    /// A new one.
    pub fn draw(run: RunId, owns_run: bool, caller: &str, entropy: &dyn Entropy) -> SessionKey {
        let mut random = [0; RANDOM_BYTES];
        entropy.fill(&mut random);
        let random = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (whose, who) = (if owns_run { "own" } else { "of" }, who(caller));
        let text = format!("mcp.{whose}.{run}.{random}.{who}");
        let text = text.parse().expect("letters, digits and points are a key");
        SessionKey { text, run, owns_run, who }
    }

    /// None where the text is no id.
    pub fn read(text: &str) -> Option<SessionKey> {
        let parts: Vec<&str> = text.split('.').collect();
        let ["mcp", whose, run, random, who] = parts[..] else { return None };
        let owns_run = match whose {
            "own" => true,
            "of" => false,
            _ => return None,
        };
        let is_random =
            random.len() == 2 * RANDOM_BYTES && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let text = text.parse().ok().filter(|_| is_random)?;
        Some(SessionKey { text, run: run.parse().ok()?, owns_run, who: who.to_owned() })
    }

    /// Whether this caller began it.
    pub fn is_of(&self, caller: &str) -> bool {
        self.who == who(caller)
    }
}

fn who(caller: &str) -> String {
    Digest::of(caller.as_bytes()).short()
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::RunId;

    use super::SessionKey;
    use crate::testing::Counting;

    #[test]
    fn an_id_is_read_as_it_was_drawn_and_nothing_else_is_one() {
        let run = RunId::from_parts(1_800_000_000_000, 7);
        for owns_run in [true, false] {
            let drawn = SessionKey::draw(run, owns_run, "k1", &Counting::new());
            let read = SessionKey::read(drawn.text.as_str()).unwrap();
            assert_eq!(read, drawn);
            assert_eq!((read.run, read.owns_run), (run, owns_run));
            assert!(read.is_of("k1") && !read.is_of("k2"));
        }
        let random = "0".repeat(32);
        for bad in [
            String::new(),
            "mcp_0011".to_owned(),
            format!("mcp.own.{run}.{random}"),
            format!("mcp.own.{run}.{random}.a.b"),
            format!("mcp.any.{run}.{random}.a"),
            format!("mcp.own.run_1.{random}.a"),
            format!("mcp.own.{run}.{}.a", &random[1..]),
            format!("mcp.own.{run}.{}.a", "z".repeat(32)),
            format!("mcp.own.{run}.{random}.{}", "a".repeat(200)),
        ] {
            assert_eq!(SessionKey::read(&bad), None, "{bad}");
        }
    }
}
