"""LangChain: `langchain-openai` in both dialects, and `langchain-anthropic`."""

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

import harness
from harness import HELLO, LONG, PERSON, SUM, WEATHER

get_weather = tool(harness.get_weather)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class LangChain(harness.Client):
    def model(self, name=None, **more):
        raise NotImplementedError

    def plain(self):
        answer = self.model().invoke(SUM)
        return answer.text, answer.usage_metadata["total_tokens"]

    def stream(self):
        return [chunk.text for chunk in self.model().stream(SUM)]

    def tools(self):
        model = self.model().bind_tools([get_weather])
        messages = [HumanMessage(WEATHER)]
        said = model.invoke(messages)
        (call,) = said.tool_calls
        messages += [said, get_weather.invoke(call)]
        return call["args"], model.invoke(messages).text

    def structured(self):
        return self.model().with_structured_output(Person).invoke(PERSON).model_dump()

    def ask(self, model, **wrong):
        return self.model(model, **wrong).invoke(HELLO).text

    def leave(self):
        stream = self.model(self.slow).stream(LONG)
        pieces = (chunk for chunk in stream if chunk.text)
        next(pieces), next(pieces)
        stream.close()


class OpenAI(LangChain):
    not_found, refused, limited = openai.NotFoundError, openai.BadRequestError, openai.RateLimitError
    responses = False

    def model(self, name=None, **more):
        return ChatOpenAI(
            model=name or self.agent,
            base_url=f"{self.url}/v1",
            api_key="none",
            max_retries=0,
            use_responses_api=self.responses,
            **more,
        )


class Responses(OpenAI):
    responses = True


class Anthropic(LangChain):
    not_found, refused, limited = anthropic.NotFoundError, anthropic.BadRequestError, anthropic.RateLimitError

    def model(self, name=None, **more):
        return ChatAnthropic(
            model=name or self.agent, base_url=self.url, api_key="none", max_retries=0, max_tokens=1000, **more
        )


harness.run({"langchain-openai-chat": OpenAI, "langchain-openai-responses": Responses, "langchain-anthropic": Anthropic})
