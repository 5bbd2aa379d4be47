use pinrail_domain::model::Catalogue;

use super::*;
use crate::extract::extract;
use crate::family::Families;
use crate::lex::lex;

/// How the first id of a text is used; `-` when there is none.
fn check(language: Language, text: &str, expected: &str) {
    let families = Families::of(Catalogue::embedded());
    let tokens = lex(text.as_bytes(), language);
    let is_id = |at: usize| {
        let token = tokens.all[at];
        families.read(tokens.text, token.start as usize..token.end as usize).is_some()
    };
    let reader = Reader::new(&tokens, language, None, &is_id);
    let mut found = "-".to_owned();
    for at in 0..tokens.all.len() {
        let token = tokens.all[at];
        if !tokens.is_text(at) || reader.is_documentation(at) {
            continue;
        }
        if let Some(candidate) =
            extract(&families, tokens.text, token.start as usize..token.end as usize).first()
        {
            let usage = reader.usage(at, candidate);
            let provider = usage.provider.map(|provider| format!(" {provider}")).unwrap_or_default();
            found = format!("{}{provider}: {}", usage.confidence, usage.because);
            break;
        }
    }
    assert!(found.starts_with(expected), "{language:?}: {text}\n  is {found}\n  not {expected}");
}

#[test]
fn python() {
    let check = |text, expected| check(Language::Python, text, expected);
    check("ChatOpenAI(model='gpt-4o')", "high openai: the value of `model`");
    check("AzureChatOpenAI(azure_deployment='gpt-4o')", "high azure: the value of `azure_deployment`");
    check("ChatAnthropic('claude-3-opus-20240229')", "high anthropic: given to `ChatAnthropic`");
    check("client.chat.completions.create(model='gpt-4o')", "high: the value of `model`");
    check("init_chat_model('openai:gpt-4o')", "high openai: given to `init_chat_model`");
    check("dspy.LM('openai/gpt-4o')", "high openai: given to `LM`");
    check("MODEL = 'gpt-4o'", "high: the value of `MODEL`");
    check("DEFAULT = 'gpt-4o'\nllm(model=DEFAULT)", "high: `DEFAULT` is given as a model in line 2");
    check("def f(model: str = 'gpt-4o'): pass", "high: the value of `model`");
    check("model: str = Field(default='gpt-4o')", "high: the default of `model`");
    check("x = os.getenv('OPENAI_MODEL', 'gpt-4o')", "high: the default of an option");
    check("x = os.environ.get('OPENAI_MODEL') or 'gpt-4o'", "high: what is taken where no model is given");
    check("p.add_argument('--model', default='gpt-4o')", "high: the default of `--model`");
    check("config['model'] = 'gpt-4o'", "high: the value of `model`");
    check("model = 'gpt-4o' if fast else x", "high: the value of `model`");
    check("def default_model():\n    return 'gpt-4o'", "high: what `default_model` returns");
    check("run(['aider', '--model', 'gpt-4o'])", "high: given to a command's model option");
    check("requests.post(url, json={'model': 'gpt-4o'})", "high: the value of `model`");
    check("if x is None:\n    self.model = 'gpt-4o'", "high: the value of `model`");
    check("m = OpenAIChat(id='gpt-4o')", "high openai: the `id` given to `OpenAIChat`");
    check("x = 'gpt-4o'", "medium: the value of `x`");
    check("foo('gpt-4o')", "medium: an argument of `foo`");
    check("foo('o1')", "low: an argument of `foo`, and other things");
    check("if model == 'gpt-4o': pass", "low: compared");
    check("if 'gpt-4o' in model: pass", "low: compared");
    check("if model in ('gpt-4o', 'gpt-4'): pass", "low: compared");
    check("model.startswith('gpt-4o')", "low: given to a call that");
    check("M = {'gpt-4o': 128000}", "low: a key of a table");
    check("M = ['gpt-4o', 'gpt-4', 'gpt-4.1']", "low: one of a list of models");
    check("M = Literal['gpt-4o', 'gpt-4']", "low: one of the names that a type allows");
    check("MODELS = ['gpt-4o']", "low: in a list that a program keeps");
    check("run(models=['gpt-4o'])", "medium: in the list `models`");
    check("x = {'gpt-4': 1}\ny = {'a': {'b': 'gpt-4o'}}", "low: a key of a table");
    check("def get_tokenizer(model_name='gpt-4o'): pass", "low: given to a call that counts");
    check("backend = 'chatgpt-codex'", "low: the value of `backend`");
    check("tiktoken.encoding_for_model('gpt-4o')", "low: given to a call that counts");
    check("token_counter(model='gpt-4o', messages=m)", "low: given to a call that counts or prices");
    check("Field(examples=[{'model': 'gpt-4o'}])", "low: an example for readers");
    check("print('gpt-4o')", "low: given to a call that");
    check("X(model='gpt-4o', choices=[], object='y')", "low: part of a recorded answer");
    check("def f():\n    \"\"\"Uses model `x`: {'model': 'gpt-4o'}\"\"\"\n    pass", "-");
    check("# model = 'gpt-4o'", "-");
    check("'use gpt-4o for that'", "-");
}

#[test]
fn javascript() {
    let check = |text, expected| check(Language::JavaScript, text, expected);
    check("generateText({ model: openai('gpt-4o') })", "high openai: given to `openai`");
    check("new ChatOpenAI({ model: \"gpt-4o\" })", "high openai: the value of `model`");
    check("const model = process.env.MODEL || 'gpt-4o'", "high: the value of `model`");
    check("const x = process.env.OPENAI_MODEL ?? 'gpt-4o'", "high: what is taken");
    check("const x = a ? 'gpt-4o' : b", "medium: the value of `x`");
    check("this.modelName = fields?.modelName ?? this.modelName ?? 'gpt-4o'", "high");
    check("function f({ model = 'gpt-4o' }) {}", "high: the value of `model`");
    check("z.object({ model: z.string().default('gpt-4o') })", "high: the value of `model`");
    check("genAI.getGenerativeModel({ model: 'gemini-2.5-pro' })", "high: the value of `model`");
    check("mastra({ model: 'openai/gpt-4o' })", "high openai: the value of `model`");
    check("type M = 'gpt-4o' | 'gpt-4' | (string & {})", "low: one of the names that a type allows");
    check("switch (m) { case 'gpt-4o': return 1 }", "low: compared");
    check("if (m.includes('gpt-4o')) {}", "low: given to a call that");
    check("if (m === 'gpt-4o') {}", "low: compared");
    check("({ id: 'gpt-4o', pricing: { input: 1 } })", "low: part of a description");
    check("({ model: 'gpt-4o', contextWindow: 1 })", "low: part of a description");
    check("({ id: 'x', model: 'gpt-4o', choices: [] })", "low: part of a recorded answer");
    check(
        "fetch(`https://x/v1beta/models/gemini-2.5-pro:generateContent`)",
        "high: in the address of a call",
    );
    check("// model: 'gpt-4o'", "-");
}

#[test]
fn other_languages() {
    check(
        Language::Go,
        "req := openai.ChatCompletionRequest{Model: \"gpt-4o\"}",
        "high openai: the value of `Model`",
    );
    check(Language::Go, "model := \"gpt-4o\"", "high: the value of `model`");
    check(
        Language::Java,
        "OpenAiChatModel.builder().modelName(\"gpt-4o\").build();",
        "high openai: given to `modelName`",
    );
    check(Language::Java, "String model = \"gpt-4o\";", "high: the value of `model`");
    check(Language::Kotlin, "val model: String = \"gpt-4o\"", "high: the value of `model`");
    check(Language::Kotlin, "ChatCompletionRequest(model = ModelId(\"gpt-4o\"))", "high: given to `ModelId`");
    check(Language::CSharp, "new ChatClient(model: \"gpt-4o\", key)", "high: the value of `model`");
    check(Language::CSharp, "builder.AddAzureOpenAIChatCompletion(\"gpt-4o\", e)", "high azure: given to");
    check(Language::Ruby, "client.chat(parameters: { model: \"gpt-4o\" })", "high: the value of `model`");
    check(Language::Ruby, "OpenAI.call :model => 'gpt-4o'", "high: the value of `model`");
    check(Language::Rust, "let model: &'static str = \"gpt-4o\";", "high: the value of `model`");
    check(Language::Rust, "Request::new().model(\"gpt-4o\")", "high: given to `model`");
    check(Language::Php, "$client->chat()->create(['model' => 'gpt-4o']);", "high: the value of `model`");
    check(
        Language::Terraform,
        "variable \"model_id\" {\n  default = \"gpt-4o\"\n}",
        "high: the default of `model_id`",
    );
    check(Language::Terraform, "model = \"gpt-4o\"", "high: the value of `model`");
}

#[test]
fn configuration() {
    check(Language::Yaml, "llm:\n  provider: azure\n  model: gpt-4o\n", "high azure: the value of `model`");
    check(Language::Yaml, "litellm_params:\n  model: azure/gpt-4o\n", "high azure: the value of `model`");
    check(
        Language::Yaml,
        "env:\n  - name: OPENAI_MODEL\n    value: gpt-4o\n",
        "high: the value of `OPENAI_MODEL`",
    );
    check(Language::Yaml, "environment:\n  - OPENAI_MODEL=gpt-4o\n", "high: the value of `OPENAI_MODEL`");
    check(Language::Yaml, "run: |\n  tool --model gpt-4o\n", "high: given to a command's model option");
    check(Language::Yaml, "inputs:\n  model:\n    default: gpt-4o\n", "high: the default of `model`");
    check(Language::Yaml, "models:\n  - gpt-4o\n", "medium: in the list `models`");
    check(Language::Yaml, "a: # model: gpt-4o\n", "-");
    check(Language::Yaml, "gpt-4o:\n  cost: 1\n", "-");
    check(Language::Json, "{\"model\": \"gpt-4o\"}", "high: the value of `model`");
    check(
        Language::Json,
        "{\"properties\": {\"model\": {\"default\": \"gpt-4o\"}}}",
        "high: the default of `model`",
    );
    check(Language::Json, "{\"gpt-4o\": {}}", "low: a key of a table");
    check(Language::Toml, "[llm]\nmodel = \"gpt-4o\"\n", "high: the value of `model`");
    check(Language::Lines, "OPENAI_MODEL=gpt-4o\n", "high openai: the value of `OPENAI_MODEL`");
    check(Language::Lines, "AZURE_OPENAI_DEPLOYMENT='gpt-4o'\n", "high azure: the value of");
    check(Language::Shell, "tool --model gpt-4o", "high: given to a command's model option");
    check(Language::Shell, "export MODEL=${MODEL:-gpt-4o}", "high: the value of `MODEL`");
    check(Language::Shell, "curl -d '{\"model\": \"gpt-4o\"}' x", "high: the model of a request");
    check(Language::Dockerfile, "ENV OPENAI_MODEL=gpt-4o", "high openai: the value of `OPENAI_MODEL`");
    check(Language::Dockerfile, "ENV MODEL gpt-4o", "high: given to a command's model option");
}
