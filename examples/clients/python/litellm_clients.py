"""LiteLLM's client, told to speak OpenAI's chat completions and responses, and Anthropic's messages."""

import asyncio
import json

import litellm
from pydantic import BaseModel

import harness
from harness import HELLO, LONG, PERSON, SCHEMA_WEATHER, SUM, WEATHER, get_weather

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Tell the weather.", "parameters": SCHEMA_WEATHER},
}


class Person(BaseModel):
    name: str
    age: int


class LiteLLM(harness.Client):
    not_found, refused, limited = litellm.NotFoundError, litellm.BadRequestError, litellm.RateLimitError
    prefix = "openai"

    def base(self):
        return f"{self.url}/v1"

    def create(self, question, model=None, complete=litellm.completion, **more):
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return complete(
            model=f"{self.prefix}/{model or self.agent}",
            messages=messages,
            api_base=self.base(),
            api_key="none",
            num_retries=0,
            max_retries=0,
            **more,
        )

    def plain(self):
        answer = self.create(SUM)
        return answer.choices[0].message.content, answer.usage.total_tokens

    def stream(self):
        return [chunk.choices[0].delta.content for chunk in self.create(SUM, stream=True) if chunk.choices]

    def tools(self):
        messages = [{"role": "user", "content": WEATHER}]
        said = self.create(messages, tools=[TOOL]).choices[0].message
        (call,) = said.tool_calls
        arguments = json.loads(call.function.arguments)
        messages += [said, {"role": "tool", "tool_call_id": call.id, "content": get_weather(**arguments)}]
        return arguments, self.create(messages, tools=[TOOL]).choices[0].message.content

    def structured(self):
        return json.loads(self.create(PERSON, response_format=Person).choices[0].message.content)

    def ask(self, model, **wrong):
        return self.create(HELLO, model, **wrong)

    def leave(self):
        async def leave():
            stream = await self.create(LONG, self.slow, complete=litellm.acompletion, stream=True)
            await anext(stream), await anext(stream)
            await stream.aclose()

        asyncio.run(leave())


class Anthropic(LiteLLM):
    prefix = "anthropic"

    def base(self):
        return self.url


harness.run({"litellm-openai-chat": LiteLLM, "litellm-anthropic": Anthropic})
