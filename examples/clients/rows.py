"""Which clients there are, what each needs, and what is known not to work, with the reason."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A client in one dialect."""

    name: str
    shown: str
    dialect: str  # chat, responses or messages
    script: str
    packages: str  # a file of python/requirements/, or "npm"

    @property
    def vendor(self):
        """The agent of its own vendor."""
        return "claude" if self.dialect == "messages" else "gpt"


FEATURES = ("plain", "stream", "tools", "structured", "errors", "cancel", "kept")

ROWS = [
    Row("python-openai-chat", "`openai` (Python)", "chat", "official_openai.py", "official"),
    Row("python-openai-responses", "`openai` (Python)", "responses", "official_openai.py", "official"),
    Row("python-anthropic", "`anthropic` (Python)", "messages", "official_anthropic.py", "official"),
    Row("npm-openai-chat", "`openai` (npm)", "chat", "official_openai.mjs", "npm"),
    Row("npm-openai-responses", "`openai` (npm)", "responses", "official_openai.mjs", "npm"),
    Row("npm-anthropic", "`@anthropic-ai/sdk` (npm)", "messages", "official_anthropic.mjs", "npm"),
    Row("langchain-openai-chat", "LangChain, `langchain-openai`", "chat", "langchain_clients.py", "langchain"),
    Row("langchain-openai-responses", "LangChain, `langchain-openai`", "responses", "langchain_clients.py", "langchain"),
    Row("langchain-anthropic", "LangChain, `langchain-anthropic`", "messages", "langchain_clients.py", "langchain"),
    Row("llamaindex-openai-chat", "LlamaIndex, `openai-like`", "chat", "llamaindex_clients.py", "llamaindex"),
    Row("llamaindex-openai-responses", "LlamaIndex, `openai`", "responses", "llamaindex_clients.py", "llamaindex"),
    Row("llamaindex-anthropic", "LlamaIndex, `anthropic`", "messages", "llamaindex_clients.py", "llamaindex"),
    Row("pydantic-ai-openai-chat", "Pydantic AI, `OpenAIChatModel`", "chat", "pydantic_ai_clients.py", "pydantic-ai"),
    Row("pydantic-ai-openai-responses", "Pydantic AI, `OpenAIResponsesModel`", "responses", "pydantic_ai_clients.py", "pydantic-ai"),
    Row("pydantic-ai-anthropic", "Pydantic AI, `AnthropicModel`", "messages", "pydantic_ai_clients.py", "pydantic-ai"),
    Row("openai-agents-chat", "OpenAI Agents SDK", "chat", "openai_agents.py", "openai-agents"),
    Row("openai-agents-responses", "OpenAI Agents SDK", "responses", "openai_agents.py", "openai-agents"),
    Row("vercel-openai-chat", "Vercel AI SDK, `@ai-sdk/openai`", "chat", "vercel_ai.mjs", "npm"),
    Row("vercel-openai-responses", "Vercel AI SDK, `@ai-sdk/openai`", "responses", "vercel_ai.mjs", "npm"),
    Row("vercel-anthropic", "Vercel AI SDK, `@ai-sdk/anthropic`", "messages", "vercel_ai.mjs", "npm"),
    Row("litellm-openai-chat", "LiteLLM", "chat", "litellm_clients.py", "litellm"),
    Row("litellm-anthropic", "LiteLLM", "messages", "litellm_clients.py", "litellm"),
]

# (row, feature, agent): the field by whose name Pinrail refuses what can't be carried over; docs/clients.md says why.
REFUSED = {
    (row, "kept", "claude"): "previous_response_id" for row in ("python-openai-responses", "npm-openai-responses")
}
