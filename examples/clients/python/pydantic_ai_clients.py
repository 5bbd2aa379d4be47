"""Pydantic AI: its OpenAI models in both dialects, and its Anthropic model."""

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

import anthropic
import openai

import harness
from harness import HELLO, LONG, PERSON, SUM, WEATHER


class Person(BaseModel):
    name: str
    age: int


class PydanticAI(harness.Client):
    not_found = refused = limited = ModelHTTPError

    def model(self, name):
        raise NotImplementedError

    def agent_of(self, name=None, **more):
        return Agent(self.model(name or self.agent), retries=0, **more)

    def plain(self):
        answer = self.agent_of().run_sync(SUM)
        usage = answer.usage if not callable(answer.usage) else answer.usage()
        return answer.output, usage.total_tokens

    def stream(self):
        async def pieces():
            async with self.agent_of().run_stream(SUM) as answer:
                return [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(pieces())

    def tools(self):
        answer = self.agent_of(tools=[harness.get_weather]).run_sync(WEATHER)
        parts = [part for message in answer.all_messages() for part in message.parts]
        (call,) = [part for part in parts if isinstance(part, ToolCallPart)]
        return call.args_as_dict(), answer.output

    def structured(self):
        return self.agent_of(output_type=Person).run_sync(PERSON).output.model_dump()

    def ask(self, model, **wrong):
        return self.agent_of(model).run_sync(HELLO, model_settings=wrong or None).output

    def leave(self):
        async def leave():
            async with self.agent_of(self.slow).run_stream(LONG) as answer:
                seen = 0
                async for _ in answer.stream_text(delta=True, debounce_by=None):
                    seen += 1
                    if seen == 2:
                        await answer.cancel()
                        return

        asyncio.run(leave())


class Chat(PydanticAI):
    kind = OpenAIChatModel

    def model(self, name):
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)
        return self.kind(name, provider=OpenAIProvider(openai_client=client))


class Responses(Chat):
    kind = OpenAIResponsesModel


class Anthropic(PydanticAI):
    wrong = {"extra_body": {"temperature": 5}}

    def model(self, name):
        client = anthropic.AsyncAnthropic(base_url=self.url, api_key="none", max_retries=0)
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


harness.run({"pydantic-ai-openai-chat": Chat, "pydantic-ai-openai-responses": Responses, "pydantic-ai-anthropic": Anthropic})
