// What the demo leaves: every page that a link leads to, from the rail on.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { WIDTHS, faults, launch, open } from "./browser.mjs";
import { PINRAIL, Server } from "./server.mjs";

/// Of pages of one kind, how many are looked at.
const OF_A_KIND = 2;
/// Of what a page's address asks for, how much makes a kind: combinations of everything would be hundreds.
const ASKED_MAX = 3;
/// More links than this are more than a demo has: then links lead to ever new ones.
const LINKS_MAX = 10_000;

let folder, server, browser;
before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "pinrail-demo-"));
  const dir = join(folder, "demo");
  await promisify(execFile)(PINRAIL, ["demo", "--fast", "--no-open", "--listen", "127.0.0.1:0", "--dir", dir], { maxBuffer: 64 << 20 });
  server = await Server.start({ dir });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/// What pages of one kind have in common: the address without its ids, numbers and names.
function kind(address) {
  const { pathname, searchParams } = new URL(address, server.url);
  const path = pathname.replace(/\/(run|gate|appr|mem)_[^/]+/g, "/$1").replace(/\/(sha256:)?[0-9a-f]{12,}/g, "/hex").replace(/\/\d+/g, "/n");
  return `${path}?${[...searchParams.keys()].sort().join("&")}`;
}

test("every link of the demo leads to a page with nothing wrong", async (t) => {
  const narrow = await open(browser, server, { width: WIDTHS.narrow, theme: "light" });
  const wide = await open(browser, server, { width: WIDTHS.wide, theme: "dark" });
  const [waiting, kinds] = [["/"], new Map()];
  const known = new Set(waiting);
  while (waiting.length) {
    assert.ok(known.size < LINKS_MAX, "links lead to ever new ones");
    const address = waiting.shift();
    const alike = kinds.get(kind(address)) ?? 0;
    kinds.set(kind(address), alike + 1);
    if (alike >= OF_A_KIND || new URL(address, server.url).searchParams.size > ASKED_MAX) continue;
    const answer = await fetch(new URL(address, server.url));
    await answer.body?.cancel();
    await t.test(address, async () => {
      assert.equal(answer.status, 200, address);
      if (!answer.headers.get("content-type").startsWith("text/html")) return;
      for (const { page, wrongs } of [narrow, wide]) {
        wrongs.length = 0;
        await page.goto(address);
        assert.deepEqual(await faults(page, { axe: page === wide.page }), []);
        assert.deepEqual(wrongs, []);
      }
      // A link in a drawing has its address as an attribute alone.
      const links = await wide.page.locator("a[href]").evaluateAll((links) => links.map((link) => new URL(link.getAttribute("href"), document.baseURI).href));
      for (const link of links) {
        const { origin, pathname, search } = new URL(link);
        assert.equal(origin, server.url, `a link leads away: ${link}`);
        const next = pathname + search;
        if (!known.has(next)) (known.add(next), waiting.push(next));
      }
    });
  }
  assert.ok(kinds.size > 20, `only ${[...kinds.keys()]}`);
  await narrow.close();
  await wide.close();
});
