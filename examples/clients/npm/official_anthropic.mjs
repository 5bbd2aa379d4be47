// The official `@anthropic-ai/sdk` package.
import Anthropic from "@anthropic-ai/sdk";

import { HELLO, LONG, PERSON, SCHEMA_PERSON, SCHEMA_WEATHER, SUM, WEATHER, getWeather, run } from "./harness.mjs";

function messages(url, agent) {
  const { messages } = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
  const asked = (content, more = {}) => ({
    model: agent,
    max_tokens: 1000,
    messages: typeof content === "string" ? [{ role: "user", content }] : content,
    ...more,
  });
  const tools = [{ name: "get_weather", description: "Tell the weather.", input_schema: SCHEMA_WEATHER }];
  return {
    agent,
    errors: {
      notFound: (error) => error instanceof Anthropic.NotFoundError,
      refused: (error) => error instanceof Anthropic.BadRequestError,
      limited: (error) => error instanceof Anthropic.RateLimitError,
    },
    async plain() {
      const answer = await messages.create(asked(SUM));
      return { text: answer.content[0].text, tokens: answer.usage.input_tokens + answer.usage.output_tokens };
    },
    async stream() {
      const pieces = [];
      const stream = messages.stream(asked(SUM)).on("text", (piece) => pieces.push(piece));
      await stream.finalMessage();
      return pieces;
    },
    async tools() {
      const turns = [{ role: "user", content: WEATHER }];
      const said = await messages.create(asked(turns, { tools }));
      const call = said.content.find((block) => block.type === "tool_use");
      const result = { type: "tool_result", tool_use_id: call.id, content: getWeather(call.input) };
      turns.push({ role: "assistant", content: said.content }, { role: "user", content: [result] });
      return { args: call.input, text: await messages.stream(asked(turns, { tools })).finalText() };
    },
    async structured() {
      const format = { type: "json_schema", schema: SCHEMA_PERSON };
      return JSON.parse((await messages.create(asked(PERSON, { output_config: { format } }))).content[0].text);
    },
    ask: (model, wrong) => messages.create(asked(HELLO, { model, ...wrong })),
    async leave() {
      const stream = await messages.create(asked(LONG, { model: `${agent}-slow`, stream: true }));
      let pieces = 0;
      for await (const event of stream) if (event.type === "content_block_delta" && ++pieces === 2) break;
    },
  };
}

await run({ "npm-anthropic": messages });
