"""The official `openai` package: chat completions and responses."""

import json

import openai
from pydantic import BaseModel

import harness
from harness import HELLO, LONG, PERSON, SCHEMA_WEATHER, SUM, WEATHER, get_weather


class Person(BaseModel):
    name: str
    age: int


class OpenAI(harness.Client):
    not_found, refused, limited = openai.NotFoundError, openai.BadRequestError, openai.RateLimitError

    def __init__(self, url, agent):
        super().__init__(url, agent)
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


class Chat(OpenAI):
    tool = {"type": "function", "function": {"name": "get_weather", "strict": True, "parameters": SCHEMA_WEATHER}}

    def create(self, question, model=None, **more):
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return self.client.chat.completions.create(model=model or self.agent, messages=messages, **more)

    def plain(self):
        answer = self.create(SUM)
        return answer.choices[0].message.content, answer.usage.total_tokens

    def stream(self):
        chunks = list(self.create(SUM, stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].usage.total_tokens > 5, chunks[-1]
        return [choice.delta.content for chunk in chunks for choice in chunk.choices]

    def tools(self):
        messages = [{"role": "user", "content": WEATHER}]
        said = self.create(messages, tools=[self.tool]).choices[0]
        assert said.finish_reason == "tool_calls", said
        (call,) = said.message.tool_calls
        arguments = json.loads(call.function.arguments)
        messages += [
            said.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": get_weather(**arguments)},
        ]
        with self.client.chat.completions.stream(model=self.agent, messages=messages, tools=[self.tool]) as stream:
            return arguments, stream.get_final_completion().choices[0].message.content

    def structured(self):
        answer = self.client.chat.completions.parse(
            model=self.agent, messages=[{"role": "user", "content": PERSON}], response_format=Person
        )
        return answer.choices[0].message.parsed.model_dump()

    def ask(self, model, **wrong):
        return self.create(HELLO, model, **wrong)

    def leave(self):
        with self.create(LONG, self.slow, stream=True) as stream:
            next(stream), next(stream)


class Responses(OpenAI):
    tool = {"type": "function", "name": "get_weather", "strict": True, "parameters": SCHEMA_WEATHER}

    def create(self, question, model=None, **more):
        return self.client.responses.create(model=model or self.agent, input=question, **more)

    def plain(self):
        answer = self.create(SUM)
        assert answer.status == "completed", answer
        return answer.output_text, answer.usage.total_tokens

    def stream(self):
        events = list(self.create(SUM, stream=True))
        assert events[0].type == "response.created" and events[-1].type == "response.completed", events
        assert events[-1].response.usage.total_tokens > 5, events[-1]
        return [event.delta for event in events if event.type == "response.output_text.delta"]

    def tools(self):
        items = [{"role": "user", "content": WEATHER}]
        said = self.create(items, tools=[self.tool], store=False)
        (call,) = [item for item in said.output if item.type == "function_call"]
        arguments = json.loads(call.arguments)
        items += [item.model_dump(exclude_none=True) for item in said.output]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": get_weather(**arguments)})
        with self.client.responses.stream(model=self.agent, input=items, tools=[self.tool], store=False) as stream:
            return arguments, stream.get_final_response().output_text

    def structured(self):
        return self.client.responses.parse(model=self.agent, input=PERSON, text_format=Person).output_parsed.model_dump()

    def ask(self, model, **wrong):
        return self.create(HELLO, model, **wrong)

    def kept(self):
        return self.create(SUM, previous_response_id=self.create(HELLO).id).output_text

    def leave(self):
        with self.create(LONG, self.slow, stream=True) as stream:
            deltas = (event for event in stream if event.type == "response.output_text.delta")
            next(deltas), next(deltas)


harness.run({"python-openai-chat": Chat, "python-openai-responses": Responses})
