//! Every limit of the simulated provider, with the reason for its size.

use std::time::Duration;

/// Largest request body in bytes. Larger than any prompt that a text model takes, small enough for many at once.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most messages in one conversation. More than an agent loop makes in a day.
pub const MESSAGES_MAX: usize = 4096;

/// Most tools in one request: OpenAI's own limit.
pub const TOOLS_MAX: usize = 128;

/// Most tokens in one answer, whatever the request asks for. Keeps the planned frames of one stream to a few MB.
pub const ANSWER_TOKENS_MAX: usize = 8192;

/// Most requests being answered at once. Above it the simulator says 503 instead of growing without end.
pub const IN_FLIGHT_MAX: usize = 4096;

/// Most requests that hang or stall at once. Each holds a connection, so it stays below common open-file limits (1024).
pub const HANGING_MAX: usize = 256;

/// Longest time that a hang or stall lasts. Longer than any sensible client timeout, short enough to end by itself.
pub const HANG_MAX: Duration = Duration::from_secs(600);

/// Most distinct conversations whose repeats are counted (about 10 MB). When full, all counts start again at zero.
pub const OCCURRENCES_MAX: usize = 262_144;

/// Most responses kept for later requests to go on from: some conversations of some hundred tests at once.
pub const RESPONSES_MAX: usize = 4096;

/// Most bytes that the kept responses hold together, about; the oldest go first.
pub const RESPONSES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest script in bytes: some thousand rules for each of some checkpoints, read within a second or two.
pub const SCRIPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most checkpoints plus aliases in a script. A model list stays readable and a state answer small.
pub const MODELS_MAX: usize = 256;

/// Most calls of one rule, as many as a request may offer tools.
pub const RULE_TOOLS_MAX: usize = TOOLS_MAX;

/// Longest model id in bytes: what a URL path and a header carry with ease.
pub const MODEL_ID_BYTES_MAX: usize = 128;

/// Longest wait in milliseconds that a script may ask for per answer start or per token.
pub const LATENCY_MS_MAX: u64 = 600_000;

/// Largest `wobble` and `distance`, in logits: beyond it every answer is another anyway.
pub const LOGITS_MAX: f64 = 10.0;

/// Longest message in bytes that is taken for a question of one word.
pub const ONE_WORD_BYTES_MAX: usize = 200;

/// Most alternatives per token in an answer with log probabilities, as OpenAI has it.
pub const TOP_LOGPROBS_MAX: u64 = 20;

/// Most texts in one embeddings request, as OpenAI has it.
pub const EMBEDDED_TEXTS_MAX: usize = 2_048;

/// Most dimensions of a simulated embedding; real ones reach some thousand.
pub const EMBEDDING_DIMS_MAX: usize = 4_096;

/// Dimensions where neither the request nor anything else says how many.
pub const EMBEDDING_DIMS: usize = 64;

/// Deepest nesting of a tool's JSON schema that generated arguments follow; deeper places get `null`.
pub const SCHEMA_DEPTH_MAX: usize = 16;

/// Most items in a generated array, whatever the schema's `minItems` asks for.
pub const ARRAY_ITEMS_MAX: usize = 16;

/// Most characters of a tool's result that an answer quotes.
pub const QUOTE_CHARS_MAX: usize = 200;

/// Most values in one call's generated arguments, so that a schema which branches at every depth can't explode.
pub const ARGUMENT_VALUES_MAX: usize = 1024;

/// How many bytes of the user's message are searched for quoted texts and numbers; the search is quadratic at worst.
pub const ARGUMENT_TEXT_BYTES_MAX: usize = 16 * 1024;

/// The seed to use when nobody names one. With it the builtin checkpoints get "What is 17 + 25?" right, so that a
/// newcomer's first question isn't among the few that they are scripted to miss.
pub const SEED_DEFAULT: u64 = 7;
