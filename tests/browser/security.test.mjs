// Who is let in, what they are shown, and which forms are refused.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { faults, launch, open } from "./browser.mjs";
import { Server } from "./server.mjs";
import { ask, deploy, releases } from "./world.mjs";

let server, browser, keys, candidate, runs;
before(async () => {
  browser = await launch();
  server = await Server.start();
  const [, release] = await releases(server, "hello");
  candidate = await deploy(server, "hello", release, { weight: 2000 });
  runs = {};
  for (const tenant of ["acme", "globex"]) runs[tenant] = (await ask(server, "hello", "Who are you?", { tenant, session: `of-${tenant}` })).run;
  const key = async (name, scopes, tenants) => (await server.post("/api/v1/keys", { name, scopes, ...(tenants ? { tenants } : {}) })).token;
  keys = { admin: await key("ana", ["admin"]) };
  server.token = keys.admin;
  keys.read = await key("reader", ["read"]);
  keys.tenant = await key("acme's", ["read", "run"], ["acme"]);
  keys.spare = await key("spare", ["read"]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/// Types a key into the form that every page leads to.
async function signIn(page, key, path = "/keys") {
  await page.goto(path);
  assert.equal(new URL(page.url()).pathname, "/login", "a stranger is led to the door");
  await page.getByLabel("Key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const sessionOf = async (context) => (await context.cookies()).find(({ name }) => name === "pinrail_session");

test("a wrong key is refused, the right one leads to where one wanted to go", async () => {
  for (const theme of ["light", "dark"]) {
    const { context, page, wrongs, close } = await open(browser, server, { theme, width: 380 });
    await signIn(page, "pr_wrong");
    await page.getByRole("alert").getByText("This key is not valid").waitFor();
    assert.deepEqual(await faults(page), []);
    assert.ok(!(await page.content()).includes("pr_wrong"), "the key is shown");
    assert.equal(await sessionOf(context), undefined);
    wrongs.length = 0; // The browser notes the 401, rightly.
    await page.getByLabel("Key").fill(keys.admin);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL("**/keys");
    assert.equal(await page.locator("main h1").innerText(), "Keys");
    assert.deepEqual(await faults(page), []);
    assert.deepEqual(wrongs, []);
    await close();
  }
});

test("the session's cookie is out of scripts' and other sites' reach, and holds no key", async () => {
  const { context, page, close } = await open(browser, server);
  await signIn(page, keys.admin);
  const cookie = await sessionOf(context);
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path, cookie.secure], [true, "Lax", "/", false]);
  assert.ok(!keys.admin.includes(cookie.value) && !cookie.value.includes(keys.admin.split("_").at(-1)));
  assert.equal(await page.evaluate(() => document.cookie.includes("pinrail_session")), false);
  const forged = { ...cookie, value: cookie.value.replace(/.$/, (last) => (last === "0" ? "1" : "0")) };
  await context.addCookies([forged]);
  await page.goto("/keys");
  assert.equal(new URL(page.url()).pathname, "/login");
  await close();
});

test("the API does not know the cookie", async () => {
  const { context, page, close } = await open(browser, server);
  await signIn(page, keys.admin);
  assert.equal((await context.request.get("/api/v1/keys")).status(), 401);
  await close();
});

test("who signs out is out, and so is whose key is revoked", async () => {
  const { page, close } = await open(browser, server);
  await signIn(page, keys.admin);
  await page.getByRole("row", { name: /spare/ }).getByRole("link", { name: /Revoke/ }).click();
  const other = await open(browser, server);
  await signIn(other.page, keys.spare, "/keys");
  await other.page.getByRole("button", { name: "Sign out" }).waitFor();
  await page.getByLabel(/Reason/).fill("left the team");
  await page.getByRole("button", { name: /Revoke/ }).click();
  await page.getByRole("status").getByText("left the team").waitFor();
  await other.page.goto("/keys");
  assert.equal(new URL(other.page.url()).pathname, "/login", "the revoked key's session goes on");
  await other.close();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/login");
  await page.goto("/keys");
  assert.equal(new URL(page.url()).pathname, "/login");
  await close();
});

test("a key that may only read is offered nothing else, and is refused it", async () => {
  const { context, page, wrongs, close } = await open(browser, server);
  await signIn(page, keys.read, `/deployments/${candidate}`);
  await page.waitForURL(`**/deployments/${candidate}`);
  const deeds = /^(Roll back|Promote|Freeze|Resume|Approve|Turn|Clear|Retire|Revoke|Remove|Drill|Set)/;
  for (const path of [`/deployments/${candidate}`, "/", "/deployments", "/dial", "/drift", "/readiness", "/webhooks", "/releases"]) {
    await page.goto(path);
    assert.equal(await page.locator("main h1").count(), 1, path);
    for (const role of ["link", "button"]) {
      assert.deepEqual(await page.getByRole("main").getByRole(role, { name: deeds }).allInnerTexts(), [], path);
    }
    assert.equal(await page.locator('main form[method="post"]').count(), 0, path);
  }
  assert.equal(await page.locator('nav.side a[href="/keys"]').count(), 0);
  assert.deepEqual(wrongs, []);
  const csrf = await page.locator('form[action="/logout"] input[name="csrf"]').inputValue();
  for (const deed of ["rollback", "promote", "weight"]) {
    assert.equal((await context.request.get(`/deployments/${candidate}/${deed}`)).status(), 403, deed);
    const sent = await context.request.post(`/deployments/${candidate}/${deed}`, { form: { csrf, reason: "forged", weight: "50" }, maxRedirects: 0 });
    assert.equal(sent.status(), 403, deed);
  }
  assert.equal((await server.get(`/api/v1/deployments/${candidate}`)).state, "candidate");
  await close();
});

test("a tenant's key sees its runs, and that there is nothing else", async () => {
  const { context, page, wrongs, close } = await open(browser, server);
  await signIn(page, keys.tenant, "/runs");
  await page.waitForURL("**/runs");
  const text = await page.locator("main").innerText();
  assert.ok(text.includes("of-acme") && !text.includes("globex"), text);
  assert.deepEqual(await page.locator("nav.side a").evaluateAll((links) => links.map((link) => link.getAttribute("href"))), ["/runs"]);
  await page.goto(`/runs/${runs.acme}`);
  assert.equal(await page.locator("main h1").count(), 1);
  const links = await page.locator("main a[href]").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  for (const link of links) {
    if (link.startsWith("#")) continue;
    assert.equal((await context.request.get(link)).status(), 200, `it is led to what it may not open: ${link}`);
  }
  assert.deepEqual(wrongs, []);
  assert.equal((await context.request.get(`/runs/${runs.globex}`)).status(), 404);
  for (const path of ["/", "/deployments", "/ledger", "/releases", "/keys", "/dial", `/deployments/${candidate}`]) {
    assert.equal((await context.request.get(path)).status(), 403, path);
    const twin = await context.request.get(path === "/" ? "/index.json" : `${path}.json`);
    assert.equal(twin.status(), 403, `${path}.json`);
  }
  await close();
});

test("a form without its token is refused, and so is one that another site sends", async () => {
  const { context, page, close } = await open(browser, server);
  await signIn(page, keys.admin);
  const id = keys.read.split("_")[1];
  const bare = await context.request.post(`/keys/${id}/revoke`, { form: { reason: "forged" } });
  assert.equal(bare.status(), 403);
  await context.route("http://elsewhere.test/**", (route) => route.fulfill({
    contentType: "text/html",
    body: `<form method="post" action="${server.url}/keys/${id}/revoke"><input name="reason" value="forged"><button>Win a prize</button></form>`,
  }));
  await page.goto("http://elsewhere.test/");
  const [answered] = await Promise.all([page.waitForResponse(`**/keys/${id}/revoke`), page.getByRole("button").click()]);
  assert.ok([401, 403].includes(answered.status()), `${answered.status()}`);
  const { items } = await server.get("/api/v1/keys");
  assert.ok(items.some(({ key }) => key === id), "the key was revoked");
  await close();
});

test("nobody's frame shows a page", async () => {
  const { context, page, close } = await open(browser, server);
  await context.route("http://elsewhere.test/**", (route) => route.fulfill({
    contentType: "text/html", body: `<iframe src="${server.url}/login"></iframe>`,
  }));
  await page.goto("http://elsewhere.test/");
  const frame = page.frames().find((frame) => frame !== page.mainFrame());
  assert.equal(await frame.locator("h1", { hasText: "Sign in" }).count(), 0);
  await close();
});
