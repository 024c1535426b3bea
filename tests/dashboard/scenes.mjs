// What people do on the dashboard, in a real browser against a real server with real hosts and a real engine.
//
//   node scenes.mjs SCENE.json      (NODE_MODULES: where playwright-core and axe-core are)
//
// The browser shows the certificate that its own store of certificates holds, and trusts the root in there: nothing is waved
// through. SCENE.json: see 20-scenes.sh.
import { execFile, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:tls";
import { check, end, fail, launch, looks, note, ok, pictures } from "./browser.mjs";

const scene = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { url, output } = scene;
// Three keystrokes of somebody who types 60 words a minute.
const THREE_KEYSTROKES_MS = 600;
const PATIENCE_MS = 90_000;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const run = (program, args, env = {}) => new Promise((done) => {
  execFile(program, args, { env: { ...process.env, ...env }, timeout: 30_000 }, (error, stdout, stderr) =>
    done({ code: error ? (error.code ?? 1) : 0, text: stdout + stderr }));
});
const asClient = { DOCKER_HOST: scene.docker, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: scene.client.files };
const docker = (...args) => run("docker", args, asClient);

// Waits until `probe` gives something true, and gives that; fails the scene when it never does.
async function settles(sentence, probe, within = PATIENCE_MS) {
  const from = Date.now();
  for (;;) {
    const found = await probe();
    if (found) { ok(sentence); return found; }
    if (Date.now() - from > within) { fail(`${sentence}: not within ${within} ms`); return undefined; }
    await sleep(50);
  }
}

// The serial that a TLS dial of the host returns.
const served = () => new Promise((done) => {
  const socket = connect({ host: "127.0.0.1", port: scene.port, rejectUnauthorized: false }, () => {
    done(socket.getPeerCertificate().serialNumber?.toLowerCase());
    socket.destroy();
  });
  socket.on("error", () => done(undefined));
});

const { ignoreHTTPSErrors: _, ...light } = looks.light;

async function signsInWithACertificate(browser) {
  const context = await browser.newContext(light);
  const page = await context.newPage();
  await page.goto(`${url}/`);
  check("a browser that holds the certificate is signed in as its owner", (await page.locator(".person .name").textContent()) === "admin");
  check("and has no session to sign out of", (await page.getByRole("button", { name: "Sign out" }).count()) === 0);
  return { context, page };
}

async function strangersAreToldTheWaysIn(browser) {
  const context = await browser.newContext(light);
  const page = await context.newPage();
  const answer = await page.goto(`${url}/`);
  check("a browser with neither certificate nor session is told how to sign in", answer.status() === 401 &&
    (await page.locator("main").textContent()).includes("dockwarden dashboard"));
  await page.goto(scene.link);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${url}/`);
  check("and a link signs it in", (await page.getByRole("button", { name: "Sign out" }).count()) === 1);
  return context;
}

async function findsOneAmongMany(page) {
  await page.goto(`${url}/`);
  const named = page.locator("section", { has: page.locator("#needs") }).getByRole("link", { name: scene.expiring });
  check("the overview names the certificate that nobody renewed", (await named.count()) === 1);
  await page.goto(`${url}/certificates`);
  await page.keyboard.press("/");
  const found = page.locator("#results td.main").getByRole("link", { name: scene.expiring, exact: true });
  check("and so does the list, which begins with what ends soonest", (await found.count()) === 1);
  const times = [];
  for (let round = 0; round < 5; round += 1) {
    await page.locator("#q").fill("job-0");
    await found.waitFor({ state: "detached" });
    await page.keyboard.press("Control+A");
    await page.keyboard.type(scene.expiring.slice(0, 2), { delay: 100 });
    const from = Date.now();
    await page.keyboard.press(scene.expiring[2]);
    await found.waitFor({ state: "visible", timeout: 10_000 });
    times.push(Date.now() - from);
  }
  times.sort((a, b) => a - b);
  note(`among ${scene.many} certificates: shown ${times[2]} ms after the third letter, slowest of 5 ${times[4]} ms`);
  check("three letters find it within three keystrokes' time", times[2] < THREE_KEYSTROKES_MS, `${times}`);
  check("the address says what is looked for", page.url().includes(`?q=${scene.expiring.slice(0, 3)}&`), page.url());
}

async function revokesALeakedClient(page) {
  const before = await docker("ps");
  check("docker works for the client", before.code === 0, before.text);
  const events = spawn("docker", ["events"], { env: { ...process.env, ...asClient }, stdio: "ignore" });
  const cut = new Promise((done) => events.on("exit", () => done(Date.now())));
  await sleep(500);
  await page.goto(`${url}/certificates?q=${scene.client.name}`);
  await page.getByRole("link", { name: scene.client.name, exact: true }).click();
  const detail = new URL(page.url()).pathname;
  await page.getByText("Revoke this certificate, for good").click();
  await page.getByLabel("Reason").selectOption("keyCompromise");
  await page.getByLabel("to confirm").fill(scene.client.name);
  const from = Date.now();
  await page.getByRole("button", { name: "Revoke", exact: true }).click();
  let refused;
  await settles("docker of the revoked client is refused", async () => {
    refused = await docker("ps");
    return refused.code !== 0;
  }, 10_000);
  note(`from the click on: a new docker refused ${Date.now() - from} ms later (each try is a docker of its own)`);
  check("and is told why", /revoked/i.test(refused.text), refused.text);
  const ended = await Promise.race([cut, sleep(10_000)]);
  check("docker events, which was open, is cut", ended !== undefined);
  if (ended !== undefined) note(`docker events ended ${ended - from} ms after the click`);
  events.kill("SIGKILL");
  await page.getByText("1 of 1 hosts refuse it").waitFor({ timeout: 20_000 });
  ok("the page says by itself that every host refuses it");
  return detail;
}

async function approvesAHostThatAsked(page) {
  await page.goto(`${url}/requests`);
  await page.evaluate(() => { window.stays = true; });
  check("nobody waits", (await page.getByText("Nobody waits.").count()) === 1);
  writeFileSync(scene.asks, "");
  await page.locator("td.main", { hasText: scene.asker }).waitFor({ timeout: 60_000 });
  check("a host that asks appears on the open page", await page.evaluate(() => window.stays === true));
  const key = (await page.locator("td.key").textContent()).trim();
  const shown = await settles("the agent shows its key", async () => {
    const { text } = await run(scene.program, ["agent", "status", "--config", scene.asker_config]);
    return text.includes(key) ? text : undefined;
  }, 20_000);
  if (shown === undefined) note((await run(scene.program, ["agent", "status", "--config", scene.asker_config])).text);
  await pictures(page.context().browser(), await page.context().storageState(), url, { waiting: "/requests" }, output);
  await page.getByRole("button", { name: `Approve ${scene.asker}` }).click();
  await page.getByText("Nobody waits.").waitFor();
  await page.goto(`${url}/hosts`);
  const row = page.locator("tr", { hasText: scene.asker });
  await row.getByText("healthy").waitFor({ timeout: 60_000 });
  ok("approved, it joins and becomes healthy on the open list of hosts");
}

async function followsARenewal(page) {
  await page.goto(`${url}/hosts/${scene.host}`);
  await page.evaluate(() => { window.stays = true; });
  const shown = () => page.locator("dt", { hasText: /^Served$/ }).locator("+ dd .mono").textContent();
  const before = await shown();
  const history = page.locator("section", { has: page.locator("#history") }).locator("tbody tr");
  const first = await history.first().textContent();
  await settles("the open page of a host shows that it serves a renewed certificate", async () => (await shown()) !== before);
  const dialled = await served();
  check("a dial of the host says the same", dialled?.startsWith(await shown()), dialled);
  check("the renewed one leads its certificates", (await history.first().textContent()) !== first);
  check("without loading the page again", await page.evaluate(() => window.stays === true));
}

const browser = await launch({ env: { ...process.env, HOME: scene.home } });
const stranger = await launch({ env: { ...process.env, HOME: scene.strangers_home } });
try {
  const { page } = await signsInWithACertificate(browser);
  const session = await strangersAreToldTheWaysIn(stranger);
  await findsOneAmongMany(page);
  const revoked = await revokesALeakedClient(page);
  await approvesAHostThatAsked(page);
  await followsARenewal(page);
  await pictures(stranger, await session.storageState(), url, {
    "busy-overview": "/", "busy-hosts": "/hosts", "busy-host": `/hosts/${scene.host}`, "busy-certificates": "/certificates",
    revoked, "busy-clients": "/clients", "busy-audit": "/audit",
  }, output);
} catch (error) {
  fail(String(error));
  const tabs = [browser, stranger].flatMap((each) => each.contexts()).flatMap((context) => context.pages());
  for (const [at, tab] of tabs.entries()) await tab.screenshot({ path: `${output}/failed-${at}.png` });
} finally {
  await browser.close();
  await stranger.close();
}
end("every scene ended as it should");
