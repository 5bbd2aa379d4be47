//! Questions of one word: "Pick one word: red or blue?" has a next token by chance, and each checkpoint its own chances.
//!
//! The difference of the two words' logits is drawn from the seed, the checkpoint's id and the question, spread widely
//! enough that one in five or so is close to a tie. A `sibling_of` another has that one's and `distance` more. `wobble`
//! moves each question's logits from day to day. A third word, "neither", always has a fiftieth of the chance.
//!
//! At temperature 0 the likelier word is said; where a checkpoint wobbles, a tenth of that is drawn for each sending, as
//! real providers flip near ties also then. Above 0 the words are drawn at that temperature.

use crate::draw::Draw;
use crate::limits::ONE_WORD_BYTES_MAX;
use crate::request::Request;
use crate::script::Checkpoint;

/// Standard deviation of a question's difference of logits.
const SPREAD: f64 = 2.0;
/// The chance of "neither".
const NEITHER: f64 = 0.02;
/// What is drawn for each sending at temperature 0, as a part of the wobble.
const FLICKER: f64 = 0.1;

/// The next token of an answer of one word.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    pub said: String,
    /// All that could have been said at temperature 1, likeliest first.
    pub chances: Vec<(String, f64)>,
}

/// Decides what is said to a question of one word; nothing when it isn't one.
pub fn next(request: &Request, checkpoint: &Checkpoint, seed: u64, day: u64, repeat: u64) -> Option<Next> {
    let text = request.user_text();
    let [one, other] = choice(text)?;
    let luck = |who: &str, day: Option<u64>| Draw::new(seed, who, request.conversation(), day);
    let mut gap = match &checkpoint.sibling_of {
        None => SPREAD * normal(&luck(&checkpoint.id, None)),
        Some(base) => {
            SPREAD * normal(&luck(base, None)) + checkpoint.distance * normal(&luck(&checkpoint.id, None))
        }
    };
    gap += checkpoint.wobble * normal(&luck(&checkpoint.id, Some(day)));
    let sending = Draw::new(seed, &format!("{} {day}", checkpoint.id), request.conversation(), Some(repeat));
    let chances = |gap: f64| {
        let first = (1.0 - NEITHER) / (1.0 + (-gap).exp());
        [(one, first), (other, 1.0 - NEITHER - first), ("neither", NEITHER)]
    };
    let said = if request.temperature > 0.0 {
        drawn(chances(gap), request.temperature, sending.unit("word"))
    } else if gap + FLICKER * checkpoint.wobble * normal(&sending) >= 0.0 {
        one
    } else {
        other
    };
    let mut told = chances(gap).map(|(word, chance)| (word.to_owned(), chance)).to_vec();
    told.sort_by(|left, right| right.1.total_cmp(&left.1));
    Some(Next { said: said.to_owned(), chances: told })
}

/// The two words that the question is about.
fn choice(text: &str) -> Option<[&str; 2]> {
    let lower = text.to_ascii_lowercase();
    let asks_for_one = ["one word", "one letter", "one digit"].iter().any(|words| lower.contains(words));
    if text.len() > ONE_WORD_BYTES_MAX || !asks_for_one {
        return None;
    }
    let (before, after) = text.split_once(" or ")?;
    let one = before.rsplit(|c: char| !c.is_alphanumeric()).next()?;
    let other = after.split(|c: char| !c.is_alphanumeric()).next()?;
    let is_asked = after[other.len()..].starts_with('?');
    (is_asked && !one.is_empty() && !other.is_empty() && one != other).then_some([one, other])
}

fn drawn(chances: [(&str, f64); 3], temperature: f64, part: f64) -> &str {
    let weights = chances.map(|(word, chance)| (word, chance.powf(1.0 / temperature)));
    let mut left = part * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    for (word, weight) in weights {
        if left < weight {
            return word;
        }
        left -= weight;
    }
    chances[0].0
}

/// A number of the standard normal distribution (Box and Muller 1958).
fn normal(draw: &Draw) -> f64 {
    (-2.0 * (1.0 - draw.unit("radius")).ln()).sqrt() * (std::f64::consts::TAU * draw.unit("angle")).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_of_one_word_are_answered_by_chance() {
        let check = |text: &str, want: Option<[&str; 2]>| assert_eq!(choice(text), want, "{text:?}");
        check("Pick one word: red or blue? Say only that word.", Some(["red", "blue"]));
        check("One letter only: A or B?", Some(["A", "B"]));
        check("One word only, tea or coffee?", Some(["tea", "coffee"]));
        check("Do you like red or blue?", None);
        check("One word: red or blue, or green", None);
        check("One word?", None);
        check("One word: red or red?", None);
    }

    #[test]
    fn a_lower_temperature_makes_the_likelier_word_likelier() {
        let chances = [("a", 0.6), ("b", 0.38), ("neither", 0.02)];
        let share = |temperature: f64| {
            (0..1_000).filter(|part| drawn(chances, temperature, f64::from(*part) / 1_000.0) == "a").count()
        };
        assert_eq!(share(1.0), 600);
        assert!(share(0.2) > 850 && share(2.0) < 560, "{} {}", share(0.2), share(2.0));
    }
}
