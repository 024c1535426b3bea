// What the scripts of this suite share: a browser, how pages are looked at, and how failures are counted.
//
// NODE_MODULES: where playwright-core and axe-core are.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

let failed = 0;
export const fail = (text) => { failed += 1; console.log(`  FAIL  ${text}`); };
export const ok = (text) => console.log(`  ok    ${text}`);
export const note = (text) => console.log(`  note  ${text}`);
export const check = (sentence, holds, ...details) => (holds ? ok(sentence) : fail([sentence, ...details].join(": ")));

// Ends the process, and says by its status whether anything failed.
export const end = (sentence) => {
  if (failed === 0) ok(sentence);
  process.exit(failed === 0 ? 0 : 1);
};

export const launch = (options = {}) =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], ...options });

const wide = { viewport: { width: 1360, height: 900 }, ignoreHTTPSErrors: true };
export const looks = {
  light: { ...wide, colorScheme: "light" },
  dark: { ...wide, colorScheme: "dark" },
  phone: { ...wide, viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

// Keeps a picture of each path in each look, and has axe look for what people who cannot see or point well would stumble over.
export async function pictures(browser, state, url, paths, output) {
  mkdirSync(output, { recursive: true });
  for (const [look, options] of Object.entries(looks)) {
    const context = await browser.newContext({ ...options, storageState: state });
    for (const [name, path] of Object.entries(paths)) {
      let found;
      // A bridge that comes or goes on this machine fails what a browser is loading: that page is looked at again.
      for (let round = 0; round < 5; round += 1) {
        found = await picture(context, url + path, `${output}/${name}-${look}.png`, look === "phone");
        if (!found.errors.some((error) => error.includes("ERR_NETWORK_CHANGED"))) break;
      }
      found.errors.forEach((error) => fail(`${look} ${name}: ${error}`));
      found.notes.forEach((text) => note(`${look} ${name}: ${text}`));
    }
    await context.close();
  }
}

async function picture(context, address, file, fullPage) {
  const found = { errors: [], notes: [] };
  const tab = await context.newPage();
  tab.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("404")) found.errors.push(message.text());
  });
  tab.on("pageerror", (error) => found.errors.push(String(error)));
  try {
    await tab.goto(address, { waitUntil: "load" });
    await tab.screenshot({ path: file, fullPage });
    await inspect(tab, found);
  } catch (error) {
    found.errors.push(String(error));
  }
  await tab.close();
  return found;
}

async function inspect(tab, found) {
  const wider = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wider > 0) found.errors.push(`the page is ${wider} px wider than the window`);
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
  for (const issue of violations) {
    const nodes = issue.nodes.slice(0, 2).map((node) => node.html.slice(0, 140));
    const text = `${issue.impact} ${issue.id}: ${nodes.join(" | ")}`;
    (["serious", "critical"].includes(issue.impact) ? found.errors : found.notes).push(text);
  }
}
