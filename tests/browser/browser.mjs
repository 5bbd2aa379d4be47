// The browser, and what is held against every page: no errors, nothing from elsewhere, nothing that ran uninvited.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];

export const WIDTHS = { narrow: 380, wide: 1440, widest: 2560 };
export const THEMES = ["light", "dark"];

export function launch() {
  return chromium.launch({
    executablePath: process.env.PINRAIL_CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
}

/// A window on a server: `theme` and `width` as a person has them, `scripts: false` without JavaScript. It notes
/// everything that must not happen in `window.wrongs`.
export async function open(browser, server, { theme = "light", width = WIDTHS.wide, scripts = true, cookies = [] } = {}) {
  const context = await browser.newContext({
    baseURL: server.url,
    viewport: { width, height: 900 },
    colorScheme: theme,
    reducedMotion: "reduce",
    javaScriptEnabled: scripts,
    permissions: scripts ? ["clipboard-read", "clipboard-write"] : [],
  });
  context.setDefaultTimeout(20_000);
  if (cookies.length) await context.addCookies(cookies);
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`csp: ${event.violatedDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  const wrongs = watch(page, server.url);
  return { context, page, wrongs, close: () => context.close() };
}

/// Notes what must not happen in a page.
export function watch(page, origin) {
  const wrongs = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrongs.push(`console ${message.type()}: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => wrongs.push(`error: ${error.stack ?? error}`));
  page.on("dialog", (dialog) => (wrongs.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:")) wrongs.push(`request to elsewhere: ${url}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 500) wrongs.push(`${response.status()} from ${response.url()}`);
  });
  return wrongs;
}

/// What is wrong with how a page looks: each a sentence. Looking with axe takes most of the time.
export async function faults(page, { axe = true } = {}) {
  const found = await page.evaluate(() => {
    const faults = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
      const wide = [...document.querySelectorAll("body *")].filter((element) => {
        const box = element.getBoundingClientRect();
        return box.right > root.clientWidth + 1 && !element.parentElement.closest(".scroll, pre, nav.side, [data-wide]");
      });
      const names = wide.slice(0, 5).map((element) => `${element.tagName.toLowerCase()}#${element.id}.${element.className}`);
      faults.push(`scrolls sideways: ${root.scrollWidth} > ${root.clientWidth}, for ${names.join(", ")}`);
    }
    const headings = document.querySelectorAll("h1").length;
    if (headings !== 1) faults.push(`${headings} headings h1`);
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    const twice = ids.filter((id, place) => ids.indexOf(id) !== place);
    if (twice.length) faults.push(`ids that come twice: ${twice.join(", ")}`);
    if (window.__owned) faults.push(`hostile text ran: ${window.__owned}`);
    if (document.querySelector("[data-owned]")) faults.push("hostile text became an element");
    const styled = document.querySelector("main [style]:not([data-chart] *)");
    if (styled) faults.push(`an element has a style of its own: ${styled.outerHTML.slice(0, 200)}`);
    return faults;
  });
  if (!axe) return found;
  await page.evaluate(AXE);
  const violations = await page.evaluate(async (rules) => {
    const { violations } = await window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => ({
      id, help, nodes: nodes.slice(0, 4).map((node) => `${node.html.slice(0, 240)}\n      ${node.failureSummary.replaceAll("\n", "\n      ")}`), more: nodes.length - 4,
    }));
  }, RULES);
  for (const { id, help, nodes, more } of violations) {
    found.push(`axe ${id}: ${help}\n    ${nodes.join("\n    ")}${more > 0 ? `\n    and ${more} more` : ""}`);
  }
  return found;
}
