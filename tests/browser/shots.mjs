// Pictures of pages, for people: both themes, three widths.
//
//   run shots DIR                        every page of a world made for it
//   run shots DIR http://HOST:PORT/path… these pages of a server that runs
//
// SHOT_THEMES (light,dark), SHOT_WIDTHS (380,1440,2560) and SHOT_FULL=no (only the first screen) change what is taken.
import { THEMES, WIDTHS, launch, open } from "./browser.mjs";
import { pages } from "./pages.mjs";
import { world } from "./world.mjs";

const [out, ...urls] = process.argv.slice(2);
const list = (name, otherwise) => (process.env[name] ? process.env[name].split(",") : otherwise);
const widths = list("SHOT_WIDTHS", Object.values(WIDTHS)).map(Number);
const it = urls.length ? null : await world();
const browser = await launch();
const shown = it ? pages(it).map(({ path }) => it.server.url + path) : urls;
const server = it?.server ?? { url: new URL(urls[0]).origin };
for (const theme of list("SHOT_THEMES", THEMES)) {
  for (const width of widths) {
    const { page, wrongs, close } = await open(browser, server, { theme, width });
    for (const url of shown) {
      await page.goto(url, { waitUntil: "load" });
      const { pathname, search } = new URL(url);
      const name = `${pathname}${search}`.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "").slice(0, 80) || "rail";
      await page.screenshot({ path: `${out}/${name}.${theme}.${width}.png`, fullPage: process.env.SHOT_FULL !== "no" });
    }
    for (const wrong of wrongs) console.error(wrong);
    await close();
  }
}
await browser.close();
await it?.stop();
