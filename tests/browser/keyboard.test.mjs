// Without a mouse: the letters that lead somewhere, rows, and that what has the focus is seen.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, open } from "./browser.mjs";
import { ask } from "./world.mjs";
import { Server } from "./server.mjs";

let server, browser;
before(async () => {
  browser = await launch();
  server = await Server.start();
  for (let n = 0; n < 3; n += 1) await ask(server, "hello", "Who are you?", { session: `s-${n}` });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const path = (page) => new URL(page.url()).pathname;
const focused = (page, selector) => page.waitForFunction((selector) => document.activeElement.matches(selector), selector);

test("g and a letter lead to every page of the navigation", async () => {
  const { page, wrongs, close } = await open(browser, server);
  await page.goto("/");
  const entries = await page.locator("nav.side a").evaluateAll((links) => links.map((link) => [link.dataset.key, link.getAttribute("href")]));
  assert.equal(new Set(entries.map(([key]) => key)).size, entries.length, "a letter is taken twice");
  assert.ok(entries.some(([key, href]) => key === "d" && href === "/deployments"));
  for (const [key, href] of entries) {
    await page.keyboard.press("g");
    await Promise.all([page.waitForURL(`**${href}`), page.keyboard.press(key)]);
    assert.equal(await page.locator('nav.side a[aria-current="page"]').getAttribute("href"), href);
  }
  assert.deepEqual(wrongs, []);
  await close();
});

test("/ is for searching, Esc leaves, ? helps", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/runs");
  await page.keyboard.press("/");
  await focused(page, "#search");
  await page.keyboard.type("g");
  assert.equal(await page.locator("#search").inputValue(), "g", "a letter that is typed leads nowhere");
  await page.keyboard.press("Escape");
  await focused(page, "body");
  await page.keyboard.press("?");
  const help = page.locator("dialog#help");
  await help.waitFor({ state: "visible" });
  assert.match(await help.innerText(), /Deployments/);
  await page.keyboard.press("Escape");
  await help.waitFor({ state: "hidden" });
  await page.keyboard.press("/");
  await page.keyboard.type("hello"); // An agent: the search leads to its lines.
  await Promise.all([page.waitForURL("**/?q=hello"), page.keyboard.press("Enter")]);
  await close();
});

test("j and k move through rows, Enter opens one", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/runs");
  const rows = page.locator("[data-row]");
  assert.equal(await rows.count(), 3);
  const here = () => rows.evaluateAll((rows) => rows.findIndex((row) => row.classList.contains("here")));
  for (const [key, at] of [["j", 0], ["j", 1], ["j", 2], ["j", 2], ["k", 1]]) {
    await page.keyboard.press(key);
    assert.equal(await here(), at, key);
  }
  const link = await rows.nth(1).locator("a").first().getAttribute("href");
  await Promise.all([page.waitForURL(`**${link}`), page.keyboard.press("Enter")]);
  await close();
});

test("Tab leads past the navigation to what can be done, and what has the focus is seen", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/deployments/1");
  await page.keyboard.press("Tab");
  await focused(page, "a.skip");
  await page.keyboard.press("Enter");
  await focused(page, "#main");
  const seen = new Set();
  for (let n = 0; n < 60; n += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element.closest("main")) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      return { text: element.textContent.trim(), outlined: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2, inView: box.bottom > 0 && box.top < innerHeight };
    });
    if (!at) break;
    assert.ok(at.outlined, `the focus is not seen on ${at.text}`);
    assert.ok(at.inView, `what has the focus is out of view: ${at.text}`);
    seen.add(at.text);
  }
  assert.ok([...seen].some((text) => /^Roll back/.test(text)), `no way to roll back among: ${[...seen].join(" | ")}`);
  await close();
});

test("an id copies", async () => {
  const { page, close } = await open(browser, server);
  await page.goto("/runs");
  const copy = page.locator("button.copy[data-copy]").first();
  const id = await copy.getAttribute("data-copy");
  await copy.click();
  await page.locator('button.copy[data-said="copied"]').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), id);
  await close();
});
