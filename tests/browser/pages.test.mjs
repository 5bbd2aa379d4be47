// Every page, in both themes and at every width: nothing wrong with it, and hostile words are only read.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { THEMES, WIDTHS, faults, launch, open } from "./browser.mjs";
import { SEEN } from "./hostile.mjs";
import { pages, twin } from "./pages.mjs";
import { world } from "./world.mjs";

let it, browser;
before(async () => {
  browser = await launch();
  it = await world();
});
after(async () => {
  await browser?.close();
  await it?.stop();
});

for (const theme of THEMES) {
  for (const [name, width] of Object.entries(WIDTHS)) {
    test(`every page, ${theme}, ${name}: ${width} px`, async (t) => {
      const { page, wrongs, close } = await open(browser, it.server, { theme, width });
      for (const { path, seen = [], hostile = false, widest = WIDTHS.wide } of pages(it)) {
        if (width > widest) continue;
        await t.test(path, async () => {
          wrongs.length = 0;
          const response = await page.goto(path, { waitUntil: "load" });
          assert.equal(response.status(), 200, path);
          const main = page.locator("main");
          for (const text of seen) assert.ok(await main.getByText(text).count(), `not to be read: ${text}`);
          if (hostile) assert.ok((await main.textContent()).includes(SEEN), "the hostile words are not to be read");
          assert.deepEqual(await faults(page), []);
          assert.deepEqual(wrongs, []);
        });
      }
      await close();
    });
  }
}

test("every page has a twin with its value as JSON", async () => {
  for (const { path } of pages(it)) {
    const response = await fetch(it.server.url + twin(path));
    assert.equal(response.status, 200, twin(path));
    assert.match(response.headers.get("content-type"), /^application\/json/);
    const value = await response.json();
    assert.ok(value && typeof value === "object", twin(path));
  }
});

test("without JavaScript every page reads", async (t) => {
  const { page, wrongs, close } = await open(browser, it.server, { scripts: false });
  for (const { path, seen = [] } of pages(it)) {
    await t.test(path, async () => {
      wrongs.length = 0;
      const response = await page.goto(path);
      assert.equal(response.status(), 200);
      assert.equal(await page.locator("main h1").count(), 1);
      for (const text of seen) assert.ok(await page.locator("main").getByText(text).count(), `not to be read: ${text}`);
      assert.deepEqual(wrongs, []);
    });
  }
  await close();
});

test("a page that isn't there says so, and looks as the others do", async () => {
  for (const theme of THEMES) {
    const { page, close } = await open(browser, it.server, { theme, width: WIDTHS.narrow });
    const response = await page.goto("/no/such/page");
    assert.equal(response.status(), 404);
    assert.deepEqual(await faults(page), []);
    await close();
  }
});

test("the colours are the browser's until somebody chooses", async () => {
  const { page, close } = await open(browser, it.server, { theme: "dark" });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.goto("/keys");
  const dark = await background();
  const change = page.getByRole("button", { name: /^Change the colours/ });
  await change.click();
  await page.locator("html[data-theme=dark]").waitFor();
  assert.equal(await background(), dark);
  await change.click();
  await page.locator("html[data-theme=light]").waitFor();
  assert.notEqual(await background(), dark);
  assert.equal(new URL(page.url()).pathname, "/keys");
  await close();
});

test("what must not be on a page would be seen", async () => {
  const { page, wrongs, close } = await open(browser, it.server);
  await page.goto("/keys");
  await page.evaluate(() => {
    const wide = document.createElement("div");
    wide.textContent = "wide".repeat(2000);
    document.querySelector("main").append(wide, document.createElement("h1"), document.createElement("img"));
    const script = document.createElement("script");
    script.textContent = "window.__owned = 1";
    document.body.append(script);
    fetch("https://elsewhere.example/").catch(() => {});
  });
  const found = (await faults(page)).join("\n");
  for (const fault of ["scrolls sideways", "2 headings", "axe image-alt"]) assert.ok(found.includes(fault), `${fault} in ${found}`);
  assert.ok(!found.includes("hostile text ran"), "the policy lets inline scripts run");
  const noted = wrongs.join("\n");
  assert.ok(noted.includes("csp: script-src") && noted.includes("csp: connect-src"), noted);
  await close();
});
