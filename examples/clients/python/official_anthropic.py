"""The official `anthropic` package."""

import anthropic
from pydantic import BaseModel

import harness
from harness import HELLO, LONG, PERSON, SCHEMA_WEATHER, SUM, WEATHER, get_weather


class Person(BaseModel):
    name: str
    age: int


class Messages(harness.Client):
    not_found, refused, limited = anthropic.NotFoundError, anthropic.BadRequestError, anthropic.RateLimitError
    wrong = {"extra_body": {"temperature": 5}}
    tool = {"name": "get_weather", "description": "Tell the weather.", "input_schema": SCHEMA_WEATHER}

    def __init__(self, url, agent):
        super().__init__(url, agent)
        self.client = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)

    def asked(self, question, model=None, **more):
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return {"model": model or self.agent, "max_tokens": 1000, "messages": messages, **more}

    def create(self, question, model=None, **more):
        return self.client.messages.create(**self.asked(question, model, **more))

    def plain(self):
        answer = self.create(SUM)
        assert answer.stop_reason == "end_turn", answer
        return answer.content[0].text, answer.usage.input_tokens + answer.usage.output_tokens

    def stream(self):
        with self.client.messages.stream(**self.asked(SUM)) as stream:
            pieces = list(stream.text_stream)
            final = stream.get_final_message()
        assert final.usage.output_tokens > 0 and final.stop_reason == "end_turn", final
        return pieces

    def tools(self):
        messages = [{"role": "user", "content": WEATHER}]
        said = self.create(messages, tools=[self.tool])
        assert said.stop_reason == "tool_use", said
        (call,) = [block for block in said.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": get_weather(**call.input)}
        messages += [{"role": "assistant", "content": said.content}, {"role": "user", "content": [result]}]
        with self.client.messages.stream(**self.asked(messages, tools=[self.tool])) as stream:
            return call.input, stream.get_final_text()

    def structured(self):
        return self.client.messages.parse(**self.asked(PERSON), output_format=Person).parsed_output.model_dump()

    def ask(self, model, **wrong):
        return self.create(HELLO, model, **wrong)

    def leave(self):
        with self.client.messages.stream(**self.asked(LONG, self.slow)) as stream:
            pieces = iter(stream.text_stream)
            next(pieces), next(pieces)


harness.run({"python-anthropic": Messages})
