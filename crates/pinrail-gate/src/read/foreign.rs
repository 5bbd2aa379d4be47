//! What promptfoo has and a suite hasn't, with what to do instead.

/// Keys of a whole configuration.
pub const SUITE_KEYS: &[(&str, &str)] = &[
    ("providers", "the release says which model answers (agents/NAME/release.toml)"),
    ("targets", "the release says which model answers (agents/NAME/release.toml)"),
    ("outputPath", "`pinrail gate show` writes results as JSON, JUnit or Markdown"),
    ("output", "`pinrail gate show` writes results as JSON, JUnit or Markdown"),
    ("sharing", "results stay in the server's store; `pinrail gate show` gives them to whom you like"),
    (
        "evaluateOptions",
        "repeats, concurrency and calls_per_minute are in [gate] of agent.toml; answers are never cached",
    ),
    (
        "env",
        "keys of providers are environment variables of the server; a suite is the same wherever it is read",
    ),
    ("commandLineOptions", "repeats, concurrency and calls_per_minute are in [gate] of agent.toml"),
    ("redteam", "write its cases out (`promptfoo redteam generate`) and list them as tests of kind safety"),
    ("targetsFromRedteam", "the release says which model answers"),
    ("extensions", "nothing of yours runs around a gate; `tool_results` says what tools answer"),
    ("derivedMetrics", "give assertions a `metric`; each is reported by its name"),
    ("nunjucksFilters", "templates have minijinja's filters, `dump` and `load`"),
    ("tags", "put them into the tests' `metadata`"),
    ("metadata", "put it into the tests' `metadata`, or into `description`"),
    ("tracing", "what the agent did is in its answers' tool calls"),
    ("writeLatestResults", "results are always stored"),
    ("tools", "tools are the release's; those of single cases stand in their `request`"),
    ("repeat", "`repeats` is in [gate] of agent.toml"),
    (
        "threshold",
        "how much worse is tolerable is `margin` in [gate.suites.NAME] of agent.toml; a test has a `threshold` of its own",
    ),
];

/// Keys of a test.
pub const TEST_KEYS: &[(&str, &str)] = &[
    ("provider", "the release answers; the judge is `judge` in [gate] of agent.toml"),
    ("providers", "the release answers"),
    ("prompts", "a suite has one prompt; write a second suite for another"),
    (
        "providerOutput",
        "a gate judges what the release answers; `pinrail gate import` takes answers that exist",
    ),
    ("assertScoringFunction", "scores are weighted means; `weight` and `assert-set` say how they count"),
    ("path", "a suite runs no code while it is read: write the cases to a .jsonl file"),
    (
        "config",
        "it goes with a generator of tests or with an assertion; a suite runs no code while it is read",
    ),
    ("type", "it goes with an assertion: put it into `assert`"),
    ("value", "it goes with an assertion: put it into `assert`"),
    ("tools", "write them into `request`"),
    ("repeat", "`repeats` is in [gate] of agent.toml"),
];

/// Keys of a test's options.
pub const OPTIONS: &[(&str, &str)] = &[
    (
        "provider",
        "the judge is `judge` in [gate] of agent.toml, a pinned release; the embedder is the server's",
    ),
    (
        "rubricPrompt",
        "what a judge is asked is Pinrail's, which keeps answers from talking to the judge; the rubric is the `value`",
    ),
    ("transformVars", "write the variables as they are to be"),
    ("postprocess", "it is called `transform`"),
    ("storeOutputAs", "a conversation of several turns is `turns`"),
    ("runSerially", "cases don't depend on each other; a conversation of several turns is `turns`"),
    ("disableConversationVar", "there is no `_conversation`; a conversation of several turns is `turns`"),
    ("factuality", "what each degree of agreement is worth can't be set"),
    ("repeat", "`repeats` is in [gate] of agent.toml"),
    ("tools", "write them into the test's `request`"),
    ("response_format", "write it into the test's `request`"),
];

/// Keys of an assertion.
pub const ASSERT_KEYS: &[(&str, &str)] = &[
    (
        "provider",
        "the judge is `judge` in [gate] of agent.toml, a pinned release; the embedder is the server's",
    ),
    (
        "rubricPrompt",
        "what a judge is asked is Pinrail's, which keeps answers from talking to the judge; the rubric is the `value`",
    ),
    ("contextTransform", "`transform` turns the answer into what is judged"),
    ("vars", "it goes with the test"),
];

/// Assertions of promptfoo's, with the nearest that there is.
pub const ASSERT_TYPES: &[(&str, &str)] = &[
    ("bleu", "`levenshtein` or `similar` compares texts"),
    ("gleu", "`levenshtein` or `similar` compares texts"),
    ("meteor", "`levenshtein` or `similar` compares texts"),
    ("rouge-n", "`levenshtein` or `similar` compares texts"),
    ("rouge-l", "`levenshtein` or `similar` compares texts"),
    ("rouge-s", "`levenshtein` or `similar` compares texts"),
    ("similar:cosine", "`similar` is by cosine"),
    ("similar:dot", "`similar` is by cosine"),
    ("similar:euclidean", "`similar` is by cosine"),
    ("model-graded-closedqa", "`llm-rubric` with the criterion as its value asks the same"),
    ("model-graded-factuality", "`factuality` is the same"),
    ("g-eval", "`llm-rubric` has a judge score by a rubric"),
    ("agent-rubric", "`llm-rubric` has a judge score by a rubric"),
    ("search-rubric", "`llm-rubric` has a judge score by a rubric, without a search"),
    ("research-rubric", "`llm-rubric` has a judge score by a rubric, without a search"),
    ("video-rubric", "`llm-rubric` has a judge score by a rubric"),
    ("pi", "`llm-rubric` has a judge score by a rubric"),
    ("answer-relevance", "`llm-rubric` can ask whether the answer is to the point"),
    ("conversation-relevance", "`llm-rubric` in `turns` can ask whether the answer is to the point"),
    ("context-faithfulness", "`llm-rubric` can ask whether the answer keeps to a context in its value"),
    ("context-recall", "`llm-rubric` can ask whether the answer holds what a context in its value says"),
    ("context-relevance", "`llm-rubric` can ask it of a context in its value"),
    ("noise-sensitivity", "`llm-rubric` can ask it of a context in its value"),
    ("classifier", "`llm-rubric` or `javascript` can tell classes apart"),
    ("moderation", "`llm-rubric` or `is-refusal` in a suite of kind safety"),
    ("guardrails", "`is-refusal` or `finish-reason`"),
    ("select-best", "a gate compares candidate and incumbent itself; `llm-rubric` scores each answer"),
    ("max-score", "a gate compares candidate and incumbent itself"),
    ("human", "`pinrail gate record` records what a person says"),
    ("perplexity", "log probabilities aren't kept; `similar` or `llm-rubric` comes nearest"),
    ("perplexity-score", "log probabilities aren't kept; `similar` or `llm-rubric` comes nearest"),
    ("is-valid-function-call", "`is-valid-openai-tools-call` checks tool calls"),
    ("is-valid-openai-function-call", "`is-valid-openai-tools-call` checks tool calls"),
    ("is-html", "`regex` or `javascript` can tell"),
    ("contains-html", "`regex` or `javascript` can tell"),
    ("is-xml", "`regex` or `javascript` can tell"),
    ("contains-xml", "`regex` or `javascript` can tell"),
    ("is-sql", "`regex` or `javascript` can tell"),
    ("contains-sql", "`regex` or `javascript` can tell"),
    ("ruby", "`javascript` runs without anything installed"),
    ("webhook", "a gate asks nobody but the model and its judge; `javascript` runs in it"),
    ("skill-used", "`tool-calls` says which calls there must be"),
    ("trajectory:tool-used", "`tool-calls` says which calls there must be"),
    ("trajectory:tool-sequence", "`tool-calls` says which calls there must be"),
    ("trajectory:tool-args-match", "`tool-calls` says which calls there must be, and with what"),
    ("trajectory:step-count", "`javascript` can count `context`'s tool calls"),
    ("trajectory:goal-success", "`llm-rubric` can ask whether the goal was reached"),
    ("trace-span-count", "there are no traces in a gate; `tool-calls` looks at calls"),
    ("trace-span-duration", "there are no traces in a gate; `latency` looks at the time"),
    ("trace-error-spans", "there are no traces in a gate"),
];
