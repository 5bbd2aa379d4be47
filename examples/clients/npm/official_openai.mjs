// The official `openai` package: chat completions and responses.
import OpenAI from "openai";

import { HELLO, LONG, PERSON, SCHEMA_PERSON, SCHEMA_WEATHER, SUM, WEATHER, getWeather, run } from "./harness.mjs";

const errors = {
  notFound: (error) => error instanceof OpenAI.NotFoundError,
  refused: (error) => error instanceof OpenAI.BadRequestError,
  limited: (error) => error instanceof OpenAI.RateLimitError,
};

const connect = (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });

function chat(url, agent) {
  const completions = connect(url).chat.completions;
  const messages = (content) => [{ role: "user", content }];
  const tool = { type: "function", function: { name: "get_weather", strict: true, parameters: SCHEMA_WEATHER } };
  return {
    agent,
    errors,
    async plain() {
      const answer = await completions.create({ model: agent, messages: messages(SUM) });
      return { text: answer.choices[0].message.content, tokens: answer.usage.total_tokens };
    },
    async stream() {
      const stream = await completions.create({ model: agent, messages: messages(SUM), stream: true });
      const pieces = [];
      for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content);
      return pieces;
    },
    async tools() {
      const asked = messages(WEATHER);
      const said = (await completions.create({ model: agent, messages: asked, tools: [tool] })).choices[0].message;
      const args = JSON.parse(said.tool_calls[0].function.arguments);
      asked.push(said, { role: "tool", tool_call_id: said.tool_calls[0].id, content: getWeather(args) });
      const stream = completions.stream({ model: agent, messages: asked, tools: [tool] });
      return { args, text: await stream.finalContent() };
    },
    async structured() {
      const json_schema = { name: "person", strict: true, schema: SCHEMA_PERSON };
      const response_format = { type: "json_schema", json_schema };
      const answer = await completions.parse({ model: agent, messages: messages(PERSON), response_format });
      return JSON.parse(answer.choices[0].message.content);
    },
    ask: (model, wrong) => completions.create({ model, messages: messages(HELLO), ...wrong }),
    async leave() {
      const stream = await completions.create({ model: `${agent}-slow`, messages: messages(LONG), stream: true });
      let pieces = 0;
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content && ++pieces === 2) break;
    },
  };
}

function responses(url, agent) {
  const responses = connect(url).responses;
  const tool = { type: "function", name: "get_weather", strict: true, parameters: SCHEMA_WEATHER };
  return {
    agent,
    errors,
    async plain() {
      const answer = await responses.create({ model: agent, input: SUM });
      return { text: answer.output_text, tokens: answer.usage.total_tokens };
    },
    async stream() {
      const pieces = [];
      for await (const event of await responses.create({ model: agent, input: SUM, stream: true })) {
        if (event.type === "response.output_text.delta") pieces.push(event.delta);
      }
      return pieces;
    },
    async tools() {
      const input = [{ role: "user", content: WEATHER }];
      const said = await responses.create({ model: agent, input, tools: [tool], store: false });
      const call = said.output.find((item) => item.type === "function_call");
      const args = JSON.parse(call.arguments);
      input.push(...said.output, { type: "function_call_output", call_id: call.call_id, output: getWeather(args) });
      const stream = responses.stream({ model: agent, input, tools: [tool], store: false });
      return { args, text: (await stream.finalResponse()).output_text };
    },
    async structured() {
      const format = { type: "json_schema", name: "person", strict: true, schema: SCHEMA_PERSON };
      return JSON.parse((await responses.create({ model: agent, input: PERSON, text: { format } })).output_text);
    },
    ask: (model, wrong) => responses.create({ model, input: HELLO, ...wrong }),
    async kept() {
      const { id } = await responses.create({ model: agent, input: HELLO });
      return (await responses.create({ model: agent, input: SUM, previous_response_id: id })).output_text;
    },
    async leave() {
      const stream = await responses.create({ model: `${agent}-slow`, input: LONG, stream: true });
      let pieces = 0;
      for await (const event of stream) if (event.type === "response.output_text.delta" && ++pieces === 2) break;
    },
  };
}

await run({ "npm-openai-chat": chat, "npm-openai-responses": responses });
