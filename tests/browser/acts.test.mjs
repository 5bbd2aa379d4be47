// What is done by clicking: what the page says, what the API says afterwards, and the ledger's entry.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { faults, launch, open } from "./browser.mjs";
import { Server } from "./server.mjs";
import { deploy, releases } from "./world.mjs";

let server, browser, candidate, id;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());
afterEach(() => server?.stop());

beforeEach(async () => {
  server = await Server.start();
  const { pointers } = await server.get("/api/v1/pointers");
  candidate = (await releases(server, "hello")).find((release) => release !== pointers[0].active.release);
  id = await deploy(server, "hello", candidate, { weight: 2000 });
});

const deployment = () => server.get(`/api/v1/deployments/${id}`);
const head = async () => (await server.get("/api/v1/pointers")).seq;

/// From the rail to the deployment, and to the page that asks before it does `deed`.
async function walk(page, deed) {
  await page.goto("/");
  await page.locator("[data-row]", { hasText: "hello" }).getByRole("link", { name: `#${id}` }).click();
  await page.waitForURL(`**/deployments/${id}`);
  await page.getByRole("main").getByRole("link", { name: deed }).first().click();
}

/// Gives the reason and sends the form; gives the ledger entry that the next page shows.
async function send(page, button, reason) {
  await page.getByLabel(/^Reason/).fill(reason);
  await page.getByRole("main").getByRole("button", { name: button }).click();
  const banner = page.getByRole("status").filter({ hasText: "Done." });
  await banner.waitFor();
  assert.match(await banner.innerText(), new RegExp(reason));
  const seq = Number((await banner.getByRole("link", { name: /ledger entry/ }).innerText()).match(/\d+/)[0]);
  const { items } = await server.get(`/api/v1/ledger?after=${seq - 1}&limit=1`);
  assert.equal(items[0].reason, reason);
  return items[0].body.type;
}

for (const scripts of [true, false]) {
  test(`a candidate is rolled back by clicking ${scripts ? "with" : "without"} JavaScript`, async () => {
    const { page, wrongs, close } = await open(browser, server, { scripts });
    await walk(page, /^Roll back/);
    await page.waitForURL(`**/deployments/${id}/rollback`);
    if (scripts) assert.deepEqual(await faults(page), []);
    assert.equal(await send(page, /^Roll back/, "sounds odd"), "deployment_rolled_back");
    assert.equal((await deployment()).state, "rolled back");
    assert.equal(new URL(page.url()).pathname, `/deployments/${id}`);
    assert.equal(await page.getByRole("main").getByRole("link", { name: /^Roll back/ }).count(), 0, "what is rolled back is offered again");
    assert.deepEqual(wrongs, []);
    await close();
  });

  test(`a candidate is promoted by clicking ${scripts ? "with" : "without"} JavaScript`, async () => {
    const { page, wrongs, close } = await open(browser, server, { scripts });
    await walk(page, /^Promote/);
    await page.waitForURL(`**/deployments/${id}/promote`);
    if (scripts) assert.deepEqual(await faults(page), []);
    assert.equal(await send(page, /^Promote/, "looks fine"), "deployment_promoted");
    assert.equal((await deployment()).state, "active");
    assert.deepEqual(wrongs, []);
    await close();
  });
}

test("without a reason nothing is rolled back", async () => {
  const { page, close } = await open(browser, server);
  await page.goto(`/deployments/${id}/rollback`);
  const asked = [];
  page.on("request", (request) => request.method() === "POST" && asked.push(request.url()));
  await page.getByRole("main").getByRole("button", { name: /^Roll back/ }).click();
  assert.equal(await page.getByLabel(/^Reason/).evaluate((field) => field.matches(":invalid:focus")), true);
  assert.deepEqual(asked, []);
  assert.equal((await deployment()).state, "candidate");
  await close();
});

test("a double click does it once, and so does the same form sent again", async () => {
  const { page, close } = await open(browser, server);
  await page.goto(`/deployments/${id}/rollback`);
  const before = await head();
  const asked = [];
  page.on("request", (request) => request.method() === "POST" && asked.push(request.postData()));
  await page.getByLabel(/^Reason/).fill("twice");
  await page.getByRole("main").getByRole("button", { name: /^Roll back/ }).dblclick();
  await page.getByRole("status").filter({ hasText: "Done." }).waitFor();
  assert.equal(asked.length, 1, "the form was sent twice");
  const again = await page.context().request.post(`/deployments/${id}/rollback`, {
    headers: { "content-type": "application/x-www-form-urlencoded" }, data: asked[0], maxRedirects: 0,
  });
  assert.equal(again.status(), 303);
  assert.equal(await head(), before + 1);
  await close();
});

test("a rollout is frozen, goes on, and its share is set by hand", async () => {
  await server.post(`/api/v1/deployments/${id}/rollback`, { reason: "make room" });
  id = await deploy(server, "hello", candidate, { rollout: true, lift_hold: true });
  const { page, wrongs, close } = await open(browser, server);
  await walk(page, /^Freeze/);
  assert.deepEqual(await faults(page), []);
  await send(page, /^Freeze/, "a fair is on");
  await page.getByRole("main").getByRole("link", { name: /share|weight/i }).first().click();
  await page.getByRole("main").getByRole("spinbutton").fill("2");
  await send(page, /share|weight|set/i, "less of it");
  assert.equal((await deployment()).weight, 200);
  await page.getByRole("main").getByRole("link", { name: /^Resume/ }).first().click();
  await send(page, /^Resume/, "the fair is over");
  assert.deepEqual(wrongs, []);
  await close();
});

test("the dial is turned down and up", async () => {
  const { page, wrongs, close } = await open(browser, server);
  await page.goto("/dial");
  const turn = async (position, reason) => {
    await page.getByRole("main").getByRole("link", { name: /^Turn/ }).first().click();
    await page.getByRole("main").getByRole("combobox").selectOption(position);
    await send(page, /^Turn/, reason);
  };
  await turn("read_only", "odd refunds");
  const { settings } = await server.get("/api/v1/dial");
  assert.deepEqual([settings.length, settings[0].position, settings[0].reason], [1, "read_only", "odd refunds"]);
  await page.goto("/");
  await page.locator("[data-row]", { hasText: "hello" }).getByText(/read.only/).waitFor();
  await page.goto("/dial");
  await turn("full", "mended");
  assert.deepEqual((await server.get("/api/v1/dial")).settings, []);
  assert.deepEqual(wrongs, []);
  await close();
});

test("the ledger is verified from its page, and each entry has one", async () => {
  const { page, wrongs, close } = await open(browser, server);
  await page.goto("/ledger");
  await page.getByRole("link", { name: /^Verify/ }).or(page.getByRole("button", { name: /^Verify/ })).first().click();
  await page.getByRole("status").getByText(/Whole/).waitFor();
  assert.match(await page.getByRole("main").innerText(), /sha256:[0-9a-f]{64}/);
  await page.goto(`/ledger/${await head()}`);
  assert.match(await page.getByRole("main").innerText(), /deployment/);
  assert.deepEqual(wrongs, []);
  await close();
});
