// What every client from npm is asked to do, and how its answers are told: the same as in python/harness.py.
import assert from "node:assert/strict";
import { parseArgs } from "node:util";

export const HELLO = "Hello";
export const SUM = "What is 17 + 25?";
export const WEATHER = "Call get_weather for 'Oslo'.";
export const PERSON = "The person is 'Ada', 36 years old.";
// Long enough to leave in the middle: 50 ms per word.
export const LONG = "Repeat: " + Array.from({ length: 60 }, (_, number) => `word${number}`).join(" ");
const WEATHER_FOUND = "12 degrees and rain";
const WAIT_MS = 10_000;

export const SCHEMA_WEATHER = {
  type: "object",
  properties: { city: { type: "string", description: "The city's name" } },
  required: ["city"],
  additionalProperties: false,
};
export const SCHEMA_PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

export function getWeather({ city }) {
  assert.equal(city, "Oslo");
  return WEATHER_FOUND;
}

// How many answers the provider counts as left by their client.
async function cancelled(sim) {
  const { models } = await (await fetch(`${sim}/sim/state`)).json();
  return Object.values(models).reduce((sum, model) => sum + model.cancelled, 0);
}

const checks = {
  async plain(client) {
    const { text, tokens } = await client.plain();
    assert.match(text, /42/);
    assert.ok(tokens > 5, `usage is ${tokens}`);
  },
  async stream(client) {
    const pieces = (await client.stream()).filter(Boolean);
    assert.match(pieces.join(""), /42/);
    assert.ok(pieces.length >= 3, `not streamed: ${JSON.stringify(pieces)}`);
  },
  async tools(client) {
    const { args, text } = await client.tools();
    assert.deepEqual(args, { city: "Oslo" });
    assert.match(text, new RegExp(WEATHER_FOUND));
  },
  async structured(client) {
    assert.deepEqual(await client.structured(), { name: "Ada", age: 36 });
  },
  async errors(client) {
    const cases = [
      ["an unknown model", "nobody", {}, client.errors.notFound, 404],
      ["a wrong parameter", client.agent, client.wrong ?? { temperature: 5 }, client.errors.refused, 400],
      ["a rate limit", `${client.agent}-busy`, {}, client.errors.limited, 429],
    ];
    for (const [what, model, wrong, kind, status] of cases) {
      let answer;
      try {
        answer = await client.ask(model, wrong);
      } catch (error) {
        assert.ok(kind(error), `${what} threw ${error?.constructor?.name}: ${error}`);
        assert.equal(error.status ?? error.statusCode, status, `${what}: ${error}`);
        continue;
      }
      assert.fail(`${what} was answered: ${JSON.stringify(answer)}`);
    }
  },
  async cancel(client, sim) {
    const before = await cancelled(sim);
    await client.leave();
    const ends = Date.now() + WAIT_MS;
    while ((await cancelled(sim)) === before) {
      assert.ok(Date.now() < ends, "the provider goes on after the client left");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
  // Clients that can go on from an answer that the provider keeps.
  async kept(client) {
    assert.match(await client.kept(), /42/);
  },
};

// Runs the row that the command line names, on the agent that it names.
export async function run(rows) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { url: { type: "string" }, sim: { type: "string" }, agent: { type: "string" } },
  });
  const row = positionals[0];
  for (const [feature, check] of Object.entries(checks)) {
    const result = { row, agent: values.agent, feature, ok: true, detail: "" };
    try {
      const client = rows[row](values.url, values.agent);
      if (feature === "kept" && !client.kept) result.detail = "has none";
      else await check(client, values.sim);
    } catch (error) {
      console.error(error);
      Object.assign(result, { ok: false, detail: `${error?.constructor?.name}: ${error?.message}`.slice(0, 600) });
    }
    console.log(JSON.stringify(result));
  }
  process.exit(0);
}
