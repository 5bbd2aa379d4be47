"""The OpenAI Agents SDK, in both dialects."""

import asyncio
import json

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

import harness
from harness import HELLO, LONG, PERSON, SUM, WEATHER

set_tracing_disabled(True)


class Person(BaseModel):
    name: str
    age: int


class Responses(harness.Client):
    not_found, refused, limited = openai.NotFoundError, openai.BadRequestError, openai.RateLimitError
    kind = OpenAIResponsesModel

    def agent_of(self, name=None, **more):
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)
        model = self.kind(model=name or self.agent, openai_client=client)
        return Agent(name="Assistant", model=model, **more)

    def run(self, agent, question):
        return asyncio.run(Runner.run(agent, question))

    def plain(self):
        answer = self.run(self.agent_of(), SUM)
        return answer.final_output, answer.context_wrapper.usage.total_tokens

    async def deltas(self, stream):
        async for event in stream.stream_events():
            if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
                yield event.data.delta

    def stream(self):
        async def pieces():
            return [piece async for piece in self.deltas(Runner.run_streamed(self.agent_of(), SUM))]

        return asyncio.run(pieces())

    def tools(self):
        answer = self.run(self.agent_of(tools=[function_tool(harness.get_weather)]), WEATHER)
        (call,) = [item.raw_item for item in answer.new_items if item.type == "tool_call_item"]
        return json.loads(call.arguments), answer.final_output

    def structured(self):
        return self.run(self.agent_of(output_type=Person), PERSON).final_output.model_dump()

    def ask(self, model, **wrong):
        return self.run(self.agent_of(model, model_settings=ModelSettings(**wrong)), HELLO).final_output

    def leave(self):
        async def leave():
            stream = Runner.run_streamed(self.agent_of(self.slow), LONG)
            seen = 0
            async for _ in self.deltas(stream):
                seen += 1
                if seen == 2:
                    stream.cancel()

        asyncio.run(leave())


class Chat(Responses):
    kind = OpenAIChatCompletionsModel


harness.run({"openai-agents-responses": Responses, "openai-agents-chat": Chat})
