//! Border prompts against models that are made up here: logits by prompt, noise by day, draws by answer.

mod cases;
mod model;
mod rates;

use super::*;
use model::{Model, Noise, play};
