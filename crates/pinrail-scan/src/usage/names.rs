//! What names say: which ones hold a model, whose call it is, and what is never sent to a provider.

/// A name without its spelling: `azure_deployment`, `azureDeployment` and `AZURE-DEPLOYMENT` are one.
#[must_use]
pub fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether what carries this name is given to a provider as its model.
#[must_use]
pub fn is_model(plain: &str) -> bool {
    const ENDINGS: [&str; 11] = [
        "model",
        "modelname",
        "modelid",
        "modelidentifier",
        "modelstring",
        "modelslug",
        "modelstr",
        "deployment",
        "deploymentname",
        "deploymentid",
        "llmname",
    ];
    const NOT: [&str; 8] = [
        "viewmodel",
        "datamodel",
        "responsemodel",
        "servedmodel",
        "actualmodel",
        "returnedmodel",
        "expectedmodel",
        "unsupportedmodel",
    ];
    const WHOLE: [&str; 7] = [
        "engine",
        "llm",
        "llmengine",
        "chatengine",
        "modelversion",
        "modelnameorpath",
        "anthropicsmallfastmodel",
    ];
    let shown = ["placeholder", "label", "example", "display"].iter().any(|part| plain.contains(part));
    if shown {
        return false;
    }
    WHOLE.contains(&plain)
        || (ENDINGS.iter().any(|ending| plain.ends_with(ending))
            && !NOT.iter().any(|not| plain.ends_with(not)))
}

/// Whether the name has to do with models, without being one's.
#[must_use]
pub fn is_near_model(plain: &str) -> bool {
    plain.contains("model")
        || plain.contains("llm")
        || plain.contains("deployment")
        || plain.contains("fallback")
}

/// Whether what carries this name is shown to people or describes something.
#[must_use]
pub fn is_label(plain: &str) -> bool {
    const LABELS: [&str; 30] = [
        "label",
        "name",
        "title",
        "displayname",
        "description",
        "desc",
        "placeholder",
        "example",
        "examples",
        "help",
        "text",
        "summary",
        "alias",
        "aliases",
        "message",
        "msg",
        "tag",
        "tags",
        "family",
        "modelfamily",
        "ownedby",
        "content",
        "doc",
        "url",
        "href",
        "link",
        "prefix",
        "pattern",
        "expected",
        "object",
    ];
    const PARTS: [&str; 5] = ["placeholder", "label", "description", "example", "displayname"];
    LABELS.contains(&plain) || PARTS.iter().any(|part| plain.contains(part))
}

/// Whether what carries this name is the value of whatever stands around it.
#[must_use]
pub fn is_value(plain: &str) -> bool {
    const VALUES: [&str; 9] = [
        "default",
        "value",
        "defaultvalue",
        "initialvalue",
        "const",
        "fallback",
        "defaultfactory",
        "id",
        "slug",
    ];
    VALUES.contains(&plain)
}

/// Whether a key beside an id says that the object describes a model: what it costs, what it can.
#[must_use]
pub fn describes_a_model(plain: &str) -> bool {
    const PARTS: [&str; 22] = [
        "price",
        "pricing",
        "cost",
        "contextwindow",
        "contextlength",
        "contextsize",
        "contextlimit",
        "maxinputtokens",
        "knowledgecutoff",
        "deprecat",
        "releasedate",
        "releasedat",
        "tokenlimit",
        "pertoken",
        "permillion",
        "modalities",
        "capabilities",
        "supportsvision",
        "supportstools",
        "supportsfunction",
        "maxcontext",
        "ownedby",
    ];
    PARTS.iter().any(|part| plain.contains(part))
}

/// Whether a key beside an id says that the object is an answer that a provider once gave.
#[must_use]
pub fn is_of_an_answer(plain: &str) -> bool {
    const PARTS: [&str; 7] = [
        "choices",
        "stopreason",
        "stopsequence",
        "systemfingerprint",
        "finishreason",
        "responseid",
        "completiontokens",
    ];
    PARTS.contains(&plain)
}

/// Whose name it is, by the catalogue's names.
#[must_use]
pub fn provider(plain: &str) -> Option<&'static str> {
    const WHO: [(&str, &str); 10] = [
        ("azure", "azure"),
        ("bedrock", "bedrock"),
        ("vertex", "vertex"),
        ("anthropic", "anthropic"),
        ("claude", "anthropic"),
        ("gemini", "gemini"),
        ("googlegen", "gemini"),
        ("googleai", "gemini"),
        ("mistral", "mistral"),
        ("openai", "openai"),
    ];
    WHO.iter().find(|(part, _)| plain.contains(part)).map(|(_, provider)| *provider)
}

/// What a call does with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It makes or calls a model.
    Uses,
    /// It counts, compares, prints or looks up.
    Talks,
    /// Its name doesn't tell.
    Unclear,
}

/// What a call does with an id, by its name as it is written.
#[must_use]
pub fn call(name: &str) -> Call {
    let plain = plain(name);
    if talks(&plain, name) {
        return Call::Talks;
    }
    const USES: [&str; 30] = [
        "initchatmodel",
        "completion",
        "acompletion",
        "textcompletion",
        "generativemodel",
        "getgenerativemodel",
        "setmodel",
        "withmodel",
        "usemodel",
        "chatmodel",
        "languagemodel",
        "llm",
        "lm",
        "agent",
        "embedding",
        "embeddings",
        "createagent",
        "createreactagent",
        "chat",
        "responses",
        "generatetext",
        "streamtext",
        "generateobject",
        "streamobject",
        "fromprovider",
        "frompretrained",
        "google",
        "createchatcompletion",
        "textembedding",
        "reactagent",
    ];
    let verbs = [
        "get",
        "parse",
        "normalize",
        "resolve",
        "check",
        "validate",
        "find",
        "infer",
        "map",
        "convert",
        "strip",
    ];
    let makes = is_model(&plain) && !verbs.iter().any(|verb| plain.starts_with(verb));
    if USES.contains(&plain.as_str())
        || makes
        || (provider(&plain).is_some() && !verbs.iter().any(|verb| plain.starts_with(verb)))
    {
        Call::Uses
    } else {
        Call::Unclear
    }
}

/// Whether a call only counts or prices tokens, whatever its arguments are called.
#[must_use]
pub fn counts(plain: &str) -> bool {
    const PARTS: [&str; 7] =
        ["tokenizer", "tokencount", "counttoken", "numtokens", "encodingfor", "tiktoken", "completioncost"];
    PARTS.iter().any(|part| plain.contains(part))
}

/// Parts of the names of calls that count, compare, print or look up.
const TALKING_PARTS: [&str; 24] = [
    "token",
    "encoding",
    "count",
    "price",
    "pricing",
    "cost",
    "assert",
    "expect",
    "startswith",
    "endswith",
    "contains",
    "includes",
    "equals",
    "matches",
    "supports",
    "parametrize",
    "mock",
    "error",
    "exception",
    "warn",
    "indexof",
    "replace",
    "regex",
    "tobe",
];

/// Whole names of such calls.
const TALKS: [&str; 40] = [
    "print",
    "println",
    "printf",
    "log",
    "info",
    "debug",
    "fail",
    "skip",
    "describe",
    "it",
    "test",
    "todo",
    "get",
    "pop",
    "index",
    "find",
    "filter",
    "has",
    "delete",
    "split",
    "join",
    "strip",
    "len",
    "str",
    "set",
    "frozenset",
    "of",
    "match",
    "search",
    "literal",
    "in",
    "not",
    "is",
    "eq",
    "equal",
    "includeslower",
    "write",
    "echo",
    "enum",
    "union",
];

fn talks(plain: &str, name: &str) -> bool {
    let is_question =
        ["is_", "has_", "supports", "test_", "can_", "check_"].iter().any(|verb| name.starts_with(verb))
            || (["is", "has", "can"].iter().any(|verb| {
                name.strip_prefix(verb).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            }));
    is_question || TALKS.contains(&plain) || TALKING_PARTS.iter().any(|part| plain.contains(part))
}
