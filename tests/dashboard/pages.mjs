// Signs in with a link, looks at every page in light, dark and on a phone, keeps a picture of each, and has axe look at it.
//
//   node pages.mjs URL LINK OUTPUT-DIRECTORY CERTIFICATE-NAME HOST-NAME      (NODE_MODULES: where playwright-core and axe-core are)
import { mkdirSync } from "node:fs";
import { end, launch, looks, pictures } from "./browser.mjs";

const [url, link, output, certificate, host] = process.argv.slice(2);
mkdirSync(output, { recursive: true });
const browser = await launch();
const first = await browser.newContext(looks.light);
const page = await first.newPage();
await page.goto(link);
await page.screenshot({ path: `${output}/sign-in.png` });
await page.getByRole("button", { name: "Sign in" }).click();
await page.waitForURL(`${url}/`);
const state = await first.storageState();

await page.goto(`${url}/certificates?q=${encodeURIComponent(certificate)}`);
const detail = await page.getByRole("link", { name: certificate, exact: true }).first().getAttribute("href");
await pictures(browser, state, url, {
  overview: "/", hosts: "/hosts", host: `/hosts/${host}`, certificates: "/certificates", certificate: `${detail}?revoke=1`,
  search: "/certificates?q=job-0421", clients: "/clients", requests: "/requests", tokens: "/tokens", jobs: "/jobs", audit: "/audit",
  ca: "/ca", sessions: "/sessions", nothing: "/nothing", empty: "/hosts?q=zzz",
}, output);
await browser.close();
end("every page looks as it should");
