"""LlamaIndex: `llama-index-llms-openai-like`, `-openai` (responses), and `-anthropic`."""

import anthropic
import httpx
import openai
from llama_index.core.llms import ChatMessage, LLMMetadata
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic as AnthropicLLM
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

import harness
from harness import HELLO, LONG, PERSON, SUM, WEATHER

get_weather = FunctionTool.from_defaults(harness.get_weather)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class LlamaIndex(harness.Client):
    def model(self, name=None, **more):
        raise NotImplementedError

    def usage(self, raw):
        raise NotImplementedError

    def plain(self):
        answer = self.model().chat([ChatMessage(SUM)])
        return answer.message.content, self.usage(answer.raw)

    def stream(self):
        return [chunk.delta for chunk in self.model().stream_chat([ChatMessage(SUM)])]

    def tools(self):
        model = self.model()
        messages = [ChatMessage(WEATHER)]
        said = model.chat_with_tools([get_weather], chat_history=messages)
        (call,) = model.get_tool_calls_from_response(said)
        result = get_weather(**call.tool_kwargs).content
        id_name = "call_id" if isinstance(self, Responses) else "tool_call_id"
        messages += [said.message, ChatMessage(result, role="tool", additional_kwargs={id_name: call.tool_id})]
        return call.tool_kwargs, model.chat_with_tools([get_weather], chat_history=messages).message.content

    def structured(self):
        return self.model().structured_predict(Person, PromptTemplate(PERSON)).model_dump()

    def ask(self, model, **wrong):
        return self.model(model, **wrong).chat([ChatMessage(HELLO)]).message.content

    def leave(self):
        # The package's streams don't close their connection, so one leaves by closing the HTTP client.
        http_client = httpx.Client()
        stream = self.model(self.slow, http_client=http_client).stream_chat([ChatMessage(LONG)])
        pieces = (chunk for chunk in stream if chunk.delta)
        next(pieces), next(pieces)
        http_client.close()


class OpenAI(LlamaIndex):
    not_found, refused, limited = openai.NotFoundError, openai.BadRequestError, openai.RateLimitError
    # The package itself takes no temperature above 2.
    wrong = {"additional_kwargs": {"temperature": 5}}

    def model(self, name=None, **more):
        return OpenAILike(
            model=name or self.agent,
            api_base=f"{self.url}/v1",
            api_key="none",
            is_chat_model=True,
            is_function_calling_model=True,
            max_retries=0,
            **more,
        )

    def usage(self, raw):
        return raw.usage.total_tokens


class Responses(OpenAI):
    wrong = {"additional_kwargs": {"temperature": 5}}

    def model(self, name=None, **more):
        # The package knows OpenAI's own models only; any of them will do, since the name is what is sent.
        model = OpenAIResponses(
            model="gpt-5.4", api_base=f"{self.url}/v1", api_key="none", max_retries=0, context_window=100_000, **more
        )
        model.model = name or self.agent
        return model


class AnyAnthropic(AnthropicLLM):
    """The package knows Anthropic's own models only; an agent's name needs its facts told."""

    @property
    def metadata(self):
        return LLMMetadata(
            context_window=100_000,
            num_output=self.max_tokens,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.model,
        )


class Anthropic(LlamaIndex):
    not_found, refused, limited = anthropic.NotFoundError, anthropic.BadRequestError, anthropic.RateLimitError
    wrong = {"additional_kwargs": {"extra_body": {"temperature": 5}}}

    def leave(self):
        model = self.model(self.slow)
        pieces = (chunk for chunk in model.stream_chat([ChatMessage(LONG)]) if chunk.delta)
        next(pieces), next(pieces)
        model._client.close()

    def model(self, name=None, **more):
        return AnyAnthropic(model=name or self.agent, base_url=self.url, api_key="none", max_retries=0, max_tokens=1000, **more)

    def usage(self, raw):
        usage = raw["usage"]
        return usage.input_tokens + usage.output_tokens


harness.run({"llamaindex-openai-chat": OpenAI, "llamaindex-openai-responses": Responses, "llamaindex-anthropic": Anthropic})
