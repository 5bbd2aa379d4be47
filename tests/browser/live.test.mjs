// A page that is open shows what happens: told, never asked for.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { launch, open } from "./browser.mjs";
import { hostile } from "./hostile.mjs";
import { Server } from "./server.mjs";
import { deploy, releases } from "./world.mjs";

let server, browser, candidates;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());
afterEach(() => server?.stop());

beforeEach(async () => {
  server = await Server.start();
  const { items } = await server.get("/api/v1/pointers").then(({ pointers }) => ({ items: pointers }));
  candidates = (await releases(server, "hello")).filter((release) => release !== items[0].active.release);
});

const live = (page) => page.locator("#live-says", { hasText: "● live" }).waitFor({ state: "attached" });

/// Every request but the first load's and files that don't change.
function requests(page) {
  const asked = [];
  page.on("request", (request) => asked.push(`${request.resourceType()} ${new URL(request.url()).pathname}`));
  return asked;
}

test("the rail shows a deployment as it is opened, widened and taken back, without asking", async () => {
  const { page, wrongs, close } = await open(browser, server);
  await page.goto("/");
  await live(page);
  const asked = requests(page);
  const line = page.locator("[data-row]", { hasText: "hello" });
  const id = await deploy(server, "hello", candidates[0], { weight: 2000 });
  await line.getByText("20 %").waitFor();
  await server.post(`/api/v1/deployments/${id}/weight`, { weight: 4500, reason: "quiet so far" });
  await line.getByText("45 %").waitFor();
  await server.post(`/api/v1/deployments/${id}/rollback`, { reason: "odd" });
  await line.getByText("45 %").waitFor({ state: "detached" });
  assert.deepEqual(asked, [], "the page asked for something");
  assert.deepEqual(wrongs, []);
  await close();
});

test("a page of a run grows as the run goes on, and hostile words in it stay words", async () => {
  const { run } = await server.post("/api/v1/runs", { agent: "hello", session: "live" });
  const { page, wrongs, close } = await open(browser, server);
  await page.goto(`/runs/${run}`);
  await live(page);
  const asked = requests(page);
  await server.post(`/api/v1/runs/${run}/events`, { events: [{ type: "tool_call", name: "look_up", arguments: { order: hostile("live") } }] });
  await page.locator("main").getByText("look_up").first().waitFor();
  await server.post(`/api/v1/runs/${run}/events`, { events: [{ type: "note", name: "second-note", data: { at: 2 } }] });
  await page.locator("main").getByText("second-note").first().waitFor();
  assert.equal(await page.evaluate(() => window.__owned), undefined);
  assert.equal(await page.locator("[data-owned]").count(), 0);
  assert.deepEqual(asked, []);
  assert.deepEqual(wrongs, []);
  await close();
});

test("a page whose lines become others loads itself anew", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/");
  await live(page);
  await server.put("/api/v1/agents/another", { tier: "throwaway" });
  await page.locator("[data-row]", { hasText: "another" }).waitFor();
  await close();
});

test("after the server was away a page goes on by itself", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/");
  await live(page);
  await server.down();
  await page.locator("#live-says", { hasText: "not live" }).waitFor({ state: "attached" });
  await server.up();
  await live(page);
  await deploy(server, "hello", candidates[0], { weight: 3000 });
  await page.locator("[data-row]", { hasText: "hello" }).getByText("30 %").waitFor();
  await close();
});
