// A company's rail: 500 agents on one page.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { WIDTHS, faults, launch, open } from "./browser.mjs";
import { Server } from "./server.mjs";

const AGENTS = 500;
/// What the page of 500 agents may weigh, as it is sent.
const BYTES_MAX = 100_000;

let server, browser;
before(async () => {
  browser = await launch();
  server = await Server.start();
  const { items } = await server.get("/api/v1/releases?agent=hello");
  const names = Array.from({ length: AGENTS - 1 }, (_, n) => `agent-${String(n).padStart(3, "0")}`);
  const seed = async (agent) => {
    await server.put(`/api/v1/agents/${agent}`, { tier: "throwaway" });
    const { release } = await server.post("/api/v1/releases", { agent, manifest: items[0].manifest });
    await server.post("/api/v1/deployments", { releases: { [agent]: release }, now: true, reason: "seeded" });
  };
  for (let from = 0; from < names.length; from += 25) await Promise.all(names.slice(from, from + 25).map(seed));
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the rail of 500 agents is small, and usable at every width", async () => {
  const html = await (await fetch(server.url)).text();
  assert.ok(Buffer.byteLength(html) < BYTES_MAX, `${Buffer.byteLength(html)} bytes`);
  for (const width of Object.values(WIDTHS)) {
    const { page, wrongs, close } = await open(browser, server, { width });
    await page.goto("/");
    assert.deepEqual(await faults(page), []);
    assert.equal(await page.locator("main [data-row]").first().isVisible(), true);
    assert.deepEqual(wrongs, []);
    await close();
  }
});

test("its pages lead through all of them", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/");
  const reached = [];
  for (;;) {
    reached.push(...(await page.locator("main [data-row]").evaluateAll((rows) => rows.map((row) => row.id))));
    const next = page.getByRole("link", { name: "Next page" });
    if (!(await next.count())) break;
    const here = page.url();
    await Promise.all([page.waitForURL((url) => url.href !== here), next.click()]);
  }
  assert.equal(new Set(reached).size, AGENTS, "some agents are on no page");
  await close();
});
