// Signs in with a link, looks at every page in light, dark and on a phone, keeps a picture of each, and has axe look for what people
// who cannot see or point well would stumble over.
//
//   node pages.mjs URL LINK OUTPUT-DIRECTORY CERTIFICATE-NAME HOST-NAME      (NODE_MODULES: where playwright-core and axe-core are)
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");
const [url, link, output, certificate, host] = process.argv.slice(2);
mkdirSync(output, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
let failed = 0;
const fail = (text) => { failed += 1; console.log(`FAIL ${text}`); };

const wide = { viewport: { width: 1360, height: 900 }, ignoreHTTPSErrors: true, bypassCSP: false };
const first = await browser.newContext(wide);
const page = await first.newPage();
await page.goto(link);
await page.screenshot({ path: `${output}/sign-in.png` });
await page.getByRole("button", { name: "Sign in" }).click();
await page.waitForURL(`${url}/`);
const state = await first.storageState();

await page.goto(`${url}/certificates?q=${encodeURIComponent(certificate)}`);
const detail = await page.getByRole("link", { name: certificate, exact: true }).first().getAttribute("href");
const paths = {
  overview: "/", hosts: "/hosts", host: `/hosts/${host}`, certificates: "/certificates", certificate: `${detail}?revoke=1`,
  search: "/certificates?q=job-0421", clients: "/clients", requests: "/requests", tokens: "/tokens", jobs: "/jobs", audit: "/audit",
  ca: "/ca", sessions: "/sessions", nothing: "/nothing", empty: "/hosts?q=zzz",
};
const looks = {
  light: { ...wide, colorScheme: "light" },
  dark: { ...wide, colorScheme: "dark" },
  phone: { ...wide, viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};
for (const [look, options] of Object.entries(looks)) {
  const context = await browser.newContext({ ...options, storageState: state });
  for (const [name, path] of Object.entries(paths)) {
    const tab = await context.newPage();
    tab.on("console", (message) => {
      if (message.type() === "error" && !message.text().includes("404")) fail(`${look} ${name}: ${message.text()}`);
    });
    tab.on("pageerror", (error) => fail(`${look} ${name}: ${error}`));
    await tab.goto(url + path, { waitUntil: "load" });
    await tab.screenshot({ path: `${output}/${name}-${look}.png`, fullPage: look === "phone" });
    const wider = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wider > 0) fail(`${look} ${name}: the page is ${wider} px wider than the window`);
    await tab.evaluate(await (await import("node:fs/promises")).readFile(axe, "utf8"));
    const found = await tab.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
    for (const issue of found.violations) {
      const text = `${look} ${name}: ${issue.impact} ${issue.id}: ${issue.nodes.slice(0, 2).map((node) => node.html.slice(0, 140)).join(" | ")}`;
      if (["serious", "critical"].includes(issue.impact)) fail(text); else console.log(`note ${text}`);
    }
    await tab.close();
  }
  await context.close();
}
await browser.close();
console.log(failed === 0 ? "every page looks as it should" : `${failed} failures`);
process.exit(failed === 0 ? 0 : 1);
