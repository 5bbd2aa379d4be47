//! Shares between 0 and 1, and the set of them that can be changed while the simulator runs.

use serde::{Deserialize, Serialize};

/// A probability or a share: a number from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

/// How often a checkpoint does what; every field has the name of its key in the script.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    pub accuracy: Rate,
    pub refusal_rate: Rate,
    pub empty_rate: Rate,
    pub content_filter_rate: Rate,
    pub error_rate: Rate,
    pub garbage_rate: Rate,
    pub hang_rate: Rate,
    pub cut_stream_rate: Rate,
    pub stall_rate: Rate,
    pub stream_error_rate: Rate,
}

impl Rate {
    /// Checks the number.
    ///
    /// # Errors
    /// When it isn't between 0 and 1.
    pub fn new(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("{share} is not a share between 0 and 1"))
        }
    }

    /// The share 1.
    pub fn always() -> Self {
        Self(1.0)
    }

    /// Gives the number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        Self::new(share)
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl Rates {
    /// The names that [`Self::named`] knows.
    pub const NAMES: [&'static str; 10] = [
        "accuracy",
        "refusal_rate",
        "empty_rate",
        "content_filter_rate",
        "error_rate",
        "garbage_rate",
        "hang_rate",
        "cut_stream_rate",
        "stall_rate",
        "stream_error_rate",
    ];

    /// Finds a rate by its key in the script.
    pub fn named(&mut self, name: &str) -> Option<&mut Rate> {
        Some(match name {
            "accuracy" => &mut self.accuracy,
            "refusal_rate" => &mut self.refusal_rate,
            "empty_rate" => &mut self.empty_rate,
            "content_filter_rate" => &mut self.content_filter_rate,
            "error_rate" => &mut self.error_rate,
            "garbage_rate" => &mut self.garbage_rate,
            "hang_rate" => &mut self.hang_rate,
            "cut_stream_rate" => &mut self.cut_stream_rate,
            "stall_rate" => &mut self.stall_rate,
            "stream_error_rate" => &mut self.stream_error_rate,
            _ => return None,
        })
    }
}
