// The Vercel AI SDK: `@ai-sdk/openai` in both dialects, and `@ai-sdk/anthropic`.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { HELLO, LONG, PERSON, SUM, WEATHER, getWeather, run } from "./harness.mjs";

function client(agent, model) {
  const get_weather = tool({
    description: "Tell the weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async (args) => getWeather(args),
  });
  const isCallError = (error) => APICallError.isInstance(error);
  return {
    agent,
    // The package itself cuts a temperature to what Anthropic takes.
    wrong: { tools: { "get weather": get_weather } },
    errors: { notFound: isCallError, refused: isCallError, limited: isCallError },
    async plain() {
      const answer = await generateText({ model: model(agent), prompt: SUM, maxRetries: 0 });
      return { text: answer.text, tokens: answer.usage.totalTokens };
    },
    async stream() {
      const pieces = [];
      for await (const piece of streamText({ model: model(agent), prompt: SUM, maxRetries: 0 }).textStream) pieces.push(piece);
      return pieces;
    },
    async tools() {
      const stopWhen = stepCountIs(3);
      const answer = await generateText({ model: model(agent), prompt: WEATHER, tools: { get_weather }, stopWhen, maxRetries: 0 });
      const [call] = answer.steps.flatMap((step) => step.toolCalls);
      return { args: call.input, text: answer.text };
    },
    async structured() {
      const output = Output.object({ schema: z.object({ name: z.string(), age: z.number().int() }) });
      return (await generateText({ model: model(agent), prompt: PERSON, output, maxRetries: 0 })).output;
    },
    ask: (name, wrong) => generateText({ model: model(name), prompt: HELLO, maxRetries: 0, ...wrong }),
    async leave() {
      const leaving = new AbortController();
      const options = { model: model(`${agent}-slow`), prompt: LONG, maxRetries: 0, abortSignal: leaving.signal };
      let pieces = 0;
      for await (const _ of streamText(options).textStream) {
        if (++pieces === 2) {
          leaving.abort();
          break;
        }
      }
    },
  };
}

const openai = (url) => createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const anthropic = (url) => createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" });

await run({
  "vercel-openai-chat": (url, agent) => client(agent, openai(url).chat),
  "vercel-openai-responses": (url, agent) => client(agent, openai(url).responses),
  "vercel-anthropic": (url, agent) => client(agent, anthropic(url)),
});
