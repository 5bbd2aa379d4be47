//! What model ids look like: the literals that one must hold, the shapes of whole ids, and who stands in front of them.
//!
//! A string is an id when all of it has the shape of a known family, or when the catalogue lists it. A provider may stand
//! in front, as routers write it: `openai/gpt-4o`, `anthropic:claude-sonnet-4-5`, `openrouter/google/gemini-2.5-pro`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use pinrail_domain::model::Catalogue;
use regex::bytes::Regex;

/// The longest string that is taken for an id, in bytes: the longest listed one has 60.
pub const ID_BYTES_MAX: usize = 160;

/// Who makes models with ids of this shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    OpenAi,
    Anthropic,
    Gemini,
    Mistral,
    Bedrock,
    Sim,
    /// Hosted models of makers whom the catalogue that comes with Pinrail doesn't know.
    Other,
    /// Only the catalogue knows it.
    Listed,
}

/// An id in a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// Where it stands, without what is in front of it.
    pub range: Range<usize>,
    pub family: Family,
    /// The catalogue's name of the provider in front of it.
    pub provider: Option<&'static str>,
    /// Whether somebody stands in front of it.
    pub prefixed: bool,
    /// Whether other things are called so, too: `o1`, `whisper-1`.
    pub weak: bool,
}

/// Finds where ids may be, and tells whether they are.
#[derive(Debug)]
pub struct Families {
    literals: AhoCorasick,
    /// Ids of the catalogue that have the shape of no family.
    listed: BTreeSet<String>,
}

/// What every id of a family holds. A file without any of them, and without an id of the catalogue's own, is done.
const LITERALS: &[&str] = &[
    "gpt-",
    "claude-",
    "gemini-",
    "stral-",
    "xtral-",
    "codex-mini",
    "text-embedding-",
    "-davinci",
    "davinci-0",
    "babbage-0",
    "dall-e-",
    "whisper-1",
    "tts-1",
    "omni-mod",
    "computer-use-",
    "imagen-",
    "veo-",
    "deepseek-",
    "grok-",
    "command-",
    "llama-",
    "llama3",
    "qwen-",
    "qwen3-",
    "kimi-",
    "sonar-",
    "jamba-",
    "nova-",
    "titan-",
    "palmyra-",
    "o1-",
    "o3-",
    "o4-",
    "\"o1",
    "\"o3",
    "\"o4",
    "'o1",
    "'o3",
    "'o4",
    "/o1",
    "/o3",
    "/o4",
    ":o1",
    ":o3",
    ":o4",
    "=o1",
    "=o3",
    "=o4",
    " o1",
    " o3",
    " o4",
    "\"sim-",
    "'sim-",
    " sim-",
    "=sim-",
    ":sim-",
    "/sim-",
];

/// What a scan must look at besides ids.
pub const DIRECTIVE: &str = "pinrail: ignore";

/// The shapes of whole ids. They are tried in this order.
static SHAPES: LazyLock<Vec<(Family, Regex)>> = LazyLock::new(|| {
    let shape = |family, text: &str| (family, Regex::new(text).expect("a shape is a regular expression"));
    vec![
        shape(
            Family::Bedrock,
            r"^(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?(?:anthropic\.claude-|amazon\.(?:nova|titan)-|meta\.llama|mistral\.(?:mi|pi)[a-z]+-|cohere\.(?:command|embed|rerank)|ai21\.j|deepseek\.[rv]\d|writer\.palmyra-|openai\.gpt-oss-|qwen\.qwen)[a-z0-9.-]*(?::\d+(?::\d+k)?)?$",
        ),
        shape(
            Family::OpenAi,
            r"^(?:chatgpt-[a-z0-9.-]+|gpt-(?:3\.5|35|[4-9])[a-z0-9.]*(?:[@-][a-z0-9.]+)*|gpt-(?:image|audio|realtime|oss)(?:-[a-z0-9.]+)*|o[1-9](?:-(?:mini|pro|preview|deep-research|mini-deep-research|mini-high))?(?:[@-]\d{4}-\d{2}-\d{2})?|codex-mini(?:-[a-z0-9.-]+)?|computer-use-preview(?:-[0-9-]+)?|text-embedding-(?:3-(?:small|large)|ada-\d+)|text-(?:davinci|curie|babbage|ada)-\d+|code-davinci-\d+|(?:davinci|babbage)-\d{3}|dall-e-[23]|whisper-1|tts-1(?:-hd)?(?:-\d{4})?|omni-moderation-[a-z0-9-]+)$",
        ),
        shape(
            Family::Anthropic,
            r"^claude-(?:v?\d[a-z0-9.]*(?:[@-][a-z0-9.]+)*|instant(?:-[a-z0-9.]+)*|(?:opus|sonnet|haiku)(?:[@-][a-z0-9.]+)*|[a-z]+-\d[a-z0-9.]*(?:[@-][a-z0-9.]+)*)$",
        ),
        shape(
            Family::Gemini,
            r"^(?:gemini-(?:\d[a-z0-9.]*|pro|flash|ultra|exp|embedding|live)(?:[@-][a-z0-9.]+)*|text-(?:multilingual-)?embedding-\d{3}|imagen-\d[a-z0-9.-]*|veo-\d[a-z0-9.-]*)$",
        ),
        shape(
            Family::Mistral,
            r"^(?:(?:open-)?mistral-(?:tiny|small|medium|large|nemo|embed|saba|ocr|moderation)(?:-[a-z0-9.]+)*|open-mi[sx]tral-[a-z0-9-]+|(?:codestral|ministral|magistral|devstral|pixtral|voxtral)-[a-z0-9.-]+)$",
        ),
        shape(Family::Sim, r"^sim-\d+(?:-latest|-\d{4}-\d{2}-\d{2})?$"),
        shape(
            Family::Other,
            r"^(?:deepseek-(?:chat|reasoner|coder|[rv]\d)[a-z0-9.-]*|grok-(?:\d|beta|vision|code)[a-z0-9.-]*|command-(?:r|a|light|nightly)(?:-[a-z0-9.-]+)?|llama-?[34][a-z0-9.]*-[a-z0-9.-]*(?:instruct|instant|versatile|preview|maverick|scout|vision)[a-z0-9.-]*|qwen3?-(?:max|plus|turbo|coder|long|vl)[a-z0-9.-]*|kimi-(?:k\d|latest|thinking)[a-z0-9.-]*|sonar-(?:pro|reasoning|deep-research|small|medium|large)[a-z0-9.-]*|jamba-[a-z0-9.-]+)$",
        ),
    ]
});

/// Ids that other things are called by, too.
static WEAK: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"^(?:o[1-9]|whisper-1|tts-1.*|dall-e-.*|sim-\d+|command-[a-z]+|(?:davinci|babbage)-\d+|claude-(?:code|desktop|cli|agent|app|plugin)-.*|imagen-.*|veo-.*|chatgpt-[a-z-]+)$";
    Regex::new(text).expect("a shape is a regular expression")
});

/// Who may stand in front of an id, and the catalogue's name for it; none for those who resell or route.
const PREFIXES: &[(&str, Option<&str>)] = &[
    ("openai", Some("openai")),
    ("openai-chat", Some("openai")),
    ("openai-responses", Some("openai")),
    ("openai_responses", Some("openai")),
    ("text-completion-openai", Some("openai")),
    ("azure", Some("azure")),
    ("azure_ai", Some("azure")),
    ("azure_openai", Some("azure")),
    ("azure-openai", Some("azure")),
    ("azureopenai", Some("azure")),
    ("anthropic", Some("anthropic")),
    ("bedrock", Some("bedrock")),
    ("bedrock_converse", Some("bedrock")),
    ("amazon-bedrock", Some("bedrock")),
    ("aws_bedrock", Some("bedrock")),
    ("vertex_ai", Some("vertex")),
    ("vertex_ai_beta", Some("vertex")),
    ("vertexai", Some("vertex")),
    ("vertex", Some("vertex")),
    ("google-vertex", Some("vertex")),
    ("google_vertex", Some("vertex")),
    ("anthropic-beta", Some("anthropic")),
    ("google_vertexai", Some("vertex")),
    ("gemini", Some("gemini")),
    ("google", Some("gemini")),
    ("google_genai", Some("gemini")),
    ("google-genai", Some("gemini")),
    ("google-gla", Some("gemini")),
    ("googleai", Some("gemini")),
    ("mistral", Some("mistral")),
    ("mistralai", Some("mistral")),
    ("sim", Some("sim")),
    ("models", None),
    ("chat", None),
    ("responses", None),
    ("converse", None),
    ("converse_like", None),
    ("invoke", None),
    ("openrouter", None),
    ("litellm", None),
    ("litellm_proxy", None),
    ("gateway", None),
    ("groq", None),
    ("together", None),
    ("together_ai", None),
    ("fireworks", None),
    ("fireworks_ai", None),
    ("deepinfra", None),
    ("perplexity", None),
    ("xai", None),
    ("x-ai", None),
    ("deepseek", None),
    ("cohere", None),
    ("cohere_chat", None),
    ("nvidia_nim", None),
    ("cerebras", None),
    ("replicate", None),
    ("moonshotai", None),
    ("moonshot", None),
    ("dashscope", None),
    ("alibaba", None),
    ("github", None),
    ("github_copilot", None),
    ("copilot", None),
    ("databricks", None),
    ("snowflake", None),
    ("poe", None),
    ("requesty", None),
    ("vercel_ai_gateway", None),
];

/// Endings of file names: `gpt-4o.json` is no model.
const FILE_ENDINGS: &[&str] = &[
    ".json",
    ".py",
    ".md",
    ".txt",
    ".yaml",
    ".yml",
    ".ts",
    ".js",
    ".tsx",
    ".html",
    ".svg",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".ipynb",
    ".gz",
    ".zip",
    ".csv",
    ".jsonl",
    ".toml",
    ".tiktoken",
    ".mdx",
    ".com",
    ".org",
    ".ai",
    ".log",
    ".gguf",
    ".pdf",
    ".sh",
];

impl Families {
    /// The families, and the ids that only this catalogue knows.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Families {
        let ids = catalogue.providers().flat_map(|provider| catalogue.ids(provider));
        let listed: BTreeSet<String> =
            ids.filter(|id| shape_of(id.as_bytes()).is_none()).map(str::to_owned).collect();
        let own =
            listed.iter().map(String::as_str).filter(|id| !LITERALS.iter().any(|part| id.contains(part)));
        let literals = LITERALS.iter().copied().chain([DIRECTIVE]).chain(own);
        let literals = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(literals);
        Families { literals: literals.expect("a few thousand short literals fit"), listed }
    }

    /// Whether a text may hold an id or a directive: what the whole of it is searched for first.
    #[must_use]
    pub fn may_be_in(&self, text: &[u8]) -> bool {
        self.literals.is_match(text)
    }

    /// Where ids may be, in order.
    pub fn hits<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = usize> + 't {
        self.literals.find_iter(text).map(|found| {
            // A mark in front of an id is the literal's first byte and not the id's.
            let marked = found.start() < found.end() && b"\"'/:= ".contains(&text[found.start()]);
            found.start() + usize::from(marked)
        })
    }

    /// Reads `text[range]` as an id, with whoever stands in front of it.
    #[must_use]
    pub fn read(&self, text: &[u8], range: Range<usize>) -> Option<Id> {
        let mut range = trimmed(text, range);
        if range.len() < 2
            || range.len() > ID_BYTES_MAX
            || !text[range.clone()].iter().all(|b| is_id_byte(*b))
        {
            return None;
        }
        let (mut provider, mut prefixed) = (None, false);
        // A router's router's provider: nobody writes four.
        for _ in 0..4 {
            if let Some((family, weak)) = self.family(&text[range.clone()]) {
                return Some(Id { range, family, provider, prefixed, weak: weak && !prefixed });
            }
            let at = text[range.clone()].iter().position(|byte| matches!(byte, b'/' | b':'))?;
            let head = text[range.start..range.start + at].to_ascii_lowercase();
            let (_, named) = PREFIXES.iter().find(|(name, _)| name.as_bytes() == head)?;
            // `openrouter/anthropic/…`: the last one whom the catalogue knows.
            provider = named.or(provider);
            prefixed = true;
            range.start += at + 1;
        }
        None
    }

    fn family(&self, id: &[u8]) -> Option<(Family, bool)> {
        if FILE_ENDINGS.iter().any(|ending| id.ends_with(ending.as_bytes())) {
            return None;
        }
        let family = shape_of(id).or_else(|| {
            let listed = std::str::from_utf8(id).is_ok_and(|id| self.listed.contains(id));
            listed.then_some(Family::Listed)
        })?;
        Some((family, WEAK.is_match(id)))
    }
}

impl Family {
    /// The catalogue's providers with ids of this shape, the maker first.
    #[must_use]
    pub fn providers(self) -> &'static [&'static str] {
        match self {
            Family::OpenAi => &["openai", "azure"],
            Family::Anthropic => &["anthropic", "vertex"],
            Family::Gemini => &["gemini", "vertex"],
            Family::Mistral => &["mistral", "vertex"],
            Family::Bedrock => &["bedrock"],
            Family::Sim => &["sim"],
            Family::Other | Family::Listed => &[],
        }
    }
}

fn shape_of(id: &[u8]) -> Option<Family> {
    SHAPES.iter().find(|(_, shape)| shape.is_match(id)).map(|(family, _)| *family)
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:@/-".contains(&byte)
}

fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = &text[range.clone()];
    let start = range.start + (inside.len() - inside.trim_ascii_start().len());
    start..start + inside.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Family, Option<&str>)>) {
        let families = Families::of(Catalogue::embedded());
        let found = families.read(text.as_bytes(), 0..text.len());
        let found = found.map(|id| (&text[id.range.clone()], id.family, id.provider));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn whole_strings_are_ids_and_whoever_stands_in_front_is_told_apart() {
        check("gpt-4o", Some(("gpt-4o", Family::OpenAi, None)));
        check(" gpt-4o ", Some(("gpt-4o", Family::OpenAi, None)));
        check("openai/gpt-4o", Some(("gpt-4o", Family::OpenAi, Some("openai"))));
        check("openai:gpt-4o", Some(("gpt-4o", Family::OpenAi, Some("openai"))));
        check("azure/gpt-4o", Some(("gpt-4o", Family::OpenAi, Some("azure"))));
        check("models/gemini-2.5-pro", Some(("gemini-2.5-pro", Family::Gemini, None)));
        check("openrouter/google/gemini-2.5-pro", Some(("gemini-2.5-pro", Family::Gemini, Some("gemini"))));
        check("claude-sonnet-4-5@20250929", Some(("claude-sonnet-4-5@20250929", Family::Anthropic, None)));
        let bedrock = "us.anthropic.claude-sonnet-4-20250514-v1:0";
        check(bedrock, Some((bedrock, Family::Bedrock, None)));
        check("sim-1-latest", Some(("sim-1-latest", Family::Sim, None)));
        check("ministral-8b-latest", Some(("ministral-8b-latest", Family::Mistral, None)));
        check("deepseek/deepseek-chat", Some(("deepseek-chat", Family::Other, None)));
    }

    #[test]
    fn what_only_looks_like_an_id_is_none() {
        for text in [
            "",
            "gpt-",
            "gpt-2",
            "gpt-4o.json",
            "claude-code",
            "claude-desktop",
            "gemini-cli",
            "mistral-common",
            "use gpt-4o here",
            "docs/gpt-4o",
            "o11y",
            "llama-index",
            "command-line",
            "grok-parser",
            "GPT-4o",
            "meta-llama",
            "anthropic.types",
            "openai.error",
            "imagen",
            "nova-scotia",
            "https://x.y/gpt-4o",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn every_listed_id_is_found_by_the_first_stage() {
        let families = Families::of(Catalogue::embedded());
        let catalogue = Catalogue::embedded();
        for id in catalogue.providers().flat_map(|provider| catalogue.ids(provider)) {
            let text = format!("model = \"{id}\"");
            let hit = families.hits(text.as_bytes()).any(|at| (9..9 + id.len()).contains(&at));
            assert!(hit, "{id} is not found by a literal");
            assert!(families.read(id.as_bytes(), 0..id.len()).is_some(), "{id} is not read");
        }
    }
}
