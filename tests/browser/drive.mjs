// Uses the operators' page as an operator does, in Chromium without a window.
//
//   node drive.mjs PACKAGES URL PROFILE [PICTURES]
//
// PACKAGES is a folder in which `npm ci` has run, PROFILE a new empty folder. What the test has to do meanwhile is a line
// on standard output; a line on standard input says that it is done, and may hold an answer. The exit code is 0 if the page
// does all that is expected. With PICTURES each view is drawn into that folder.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [packages, url, profile, pictures] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const LOOKS = {
  light: { colorScheme: "light", width: 1280, height: 800 },
  dark: { colorScheme: "dark", width: 1280, height: 800 },
  phone: { colorScheme: "light", width: 390, height: 844 },
  "dark phone": { colorScheme: "dark", width: 390, height: 844 },
};

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the test do something: its answer. */
async function ask(what) {
  console.log(what);
  return (await answers.next()).value;
}

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  args: ARGUMENTS,
  serviceWorkers: "block",
});
const page = browser.pages()[0];
page.setDefaultTimeout(20_000);

/** What the browser complained of since it was last looked at. */
let complaints = [];
page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.stack));
/** Whatever the page asked another host for. */
const foreign = [];
page.on("request", (request) => request.url().startsWith(url) || foreign.push(request.url()));

/** Takes all complaints; none but the expected may be among them. */
function takeComplaints(expected) {
  const other = complaints.filter((text) => !expected?.test(text));
  assert.deepEqual(other, []);
  const number = complaints.length;
  complaints = [];
  return number;
}

const notice = (title) => page.getByRole("region", { name: title });
const row = (name) => page.getByRole("row").filter({ has: page.getByRole("button", { name: `Ports of ${name}` }) });
const total = (name) => page.locator(".total").filter({ hasText: name }).locator("dd");

/** Waits until an element is there, or gone. */
const shown = (element) => element.waitFor({ state: "visible" });
const gone = (element) => element.waitFor({ state: "detached" });
const says = (element, text) => shown(element.filter({ hasText: text }).first());

async function isAccessible(what) {
  for (const [name, { colorScheme, width, height }] of Object.entries(LOOKS)) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(`${axe}; axe.run()`);
    const bad = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    const lines = bad.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`);
    assert.deepEqual(lines, [], `${what}, ${name}`);
    assert.ok(found.passes.length > 10, "axe has looked at the page");
    const wide = await page.evaluate("document.documentElement.scrollWidth");
    assert.ok(wide <= width, `${what}, ${name}: ${wide} pixels wide`);
    if (pictures) await page.screenshot({ path: `${pictures}/${what} ${name}.png`, fullPage: true });
  }
  await page.setViewportSize(LOOKS.light);
  await page.emulateMedia({ colorScheme: "light" });
}

async function showsTheFleet() {
  await page.goto(url);
  await page.evaluate("window.isThisPage = true");
  for (const name of ["c1", "c2", "c3"]) {
    await says(row(name), "healthy");
    await says(row(name), "TLS not verified");
  }
  await says(notice("Certificates are not verified"), 'Cluster test has verify = "none"');
  await says(notice("Certificates are not verified"), "3 coordinators");
  await says(total("Sessions"), /^0/);
}

async function followsWhatHappens() {
  const busy = await ask("open two sessions and run a statement in one");
  await says(total("Sessions"), /^2/);
  await says(total("Running operations"), /^1/);
  await row(busy).getByRole("button", { name: `Ports of ${busy}` }).click();
  const ports = page.getByRole("table", { name: `Ports of ${busy}` });
  await says(ports.getByRole("row"), "hs2");
  await says(ports, /1 running/);
  return busy;
}

async function leadsFromSessionsToOperations() {
  await page.getByRole("link", { name: "Sessions" }).click();
  const sessions = page.getByRole("table", { name: "sessions" }).getByRole("row");
  await says(sessions, "ann");
  assert.equal(await sessions.count(), 3, "a head and two sessions");
  await isAccessible("sessions");

  await page.getByRole("searchbox", { name: "Search sessions" }).fill("ann operation nothing-such");
  await says(page.locator("main"), "None of 2 matches");
  assert.match(page.url(), /#\/sessions\?filter=ann\+operation\+nothing-such/);
  await page.getByRole("searchbox").fill("ann");
  await says(sessions, "ann");
  await page.getByRole("columnheader", { name: "Open operations" }).getByRole("link").click();
  await says(sessions.nth(1), "an operation is open");
  await page.getByRole("columnheader", { name: "Open operations" }).getByRole("link").click();
  await says(sessions.nth(2), "an operation is open");
  assert.match(page.url(), /filter=ann&sort=open_operations$/);

  await sessions.nth(2).getByRole("link", { name: "1" }).click();
  const operations = page.getByRole("table", { name: "operations" }).getByRole("row");
  await says(operations, "running");
  assert.equal(await operations.count(), 2);
  await says(operations, "statement");
  await isAccessible("operations");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row("c1"));
}

/** Scrolls through a long table for a second, as fast as a wheel does: frames a second. In the page. */
async function scrolls() {
  const box = document.querySelector(".window");
  const begin = performance.now();
  let frames = 0;
  while (performance.now() - begin < 1000) {
    box.scrollTop += 60;
    await new Promise(requestAnimationFrame);
    frames += 1;
  }
  return (frames * 1000) / (performance.now() - begin);
}

/** Long lists are drawn only as far as they are in sight, and scroll at no less than thirty frames a second. */
async function drawsWhatIsInSight() {
  const session = (number) => ({
    session: String(number).padStart(16, "0"), user: `user-${number}`, acts_as: null, client: "10.0.0.1", listener: "0.0.0.0:21050",
    service: "hs2", cluster: "test", coordinator: "c1", state: "live", located: false, age: 10_000 - number, idle: 1,
    connections: 1, open_operations: 0, pinned: null,
  });
  const sessions = Array.from({ length: 5000 }, (_, number) => session(number));
  // Names are text, whatever they look like.
  sessions[0].user = "<img src=x onerror=alert(1)>";
  await page.route("**/api/v1/sessions*", (route) => route.fulfill({ json: { total: 6000, matching: 6000, sessions } }));
  await page.getByRole("link", { name: "Sessions" }).click();
  const rows = page.getByRole("table", { name: "sessions" }).getByRole("row");
  await says(page.locator("main"), "the first 5,000 of 6,000 sessions");
  await says(rows, "<img src=x onerror=alert(1)>");
  assert.ok((await rows.count()) < 80, "few of them are drawn");
  const rates = [];
  // Other work on the machine may spoil some tries.
  while (rates.length < 20 && !rates.some((rate) => rate >= 30)) rates.push(await page.evaluate(scrolls));
  assert.ok(rates.at(-1) >= 30, `frames a second: ${rates.join(", ")}`);
  await page.getByRole("region", { name: "Table of sessions" }).evaluate((box) => (box.scrollTop = box.scrollHeight));
  await says(rows, "user-4999");
  await page.unroute("**/api/v1/sessions*");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row("c1"));
}

/** Nobody waits in the fleet of this test, so the router's answer is made up. */
async function showsWhoWaits() {
  const one = { waits_for: "session", place: 2, user: "ann", acts_as: null, client: "10.0.0.9", cluster: "test", coordinator: null, service: "hs2", age: 12 };
  const call = { ...one, waits_for: "call", place: 1, user: "bob", coordinator: "c1", age: 3 };
  await page.getByRole("link", { name: "Waiting" }).click();
  await says(page.locator("main"), "Nobody waits");
  await page.route("**/api/v1/waiting*", (route) => route.fulfill({ json: { total: 2, matching: 2, waiting: [one, call] } }));
  const rows = page.getByRole("table", { name: "waiting clients" }).getByRole("row");
  await says(rows.nth(1), "ann");
  await says(rows.nth(1), "a session, on any coordinator");
  await says(rows.nth(2), "c1");
  await isAccessible("waiting");
  await page.unroute("**/api/v1/waiting*");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row("c1"));
}

async function showsTheConfiguration() {
  await page.getByRole("link", { name: "Configuration" }).click();
  await says(page.getByRole("region", { name: "[router]" }), "max_connections");
  await says(page.getByRole("region", { name: "[[cluster]] test" }), "coordinators[c1].host");
  await isAccessible("configuration");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row("c1"));
}

async function tellsWhatHappened(name) {
  await page.getByRole("link", { name: "Events" }).click();
  const events = page.getByRole("table", { name: "events" }).getByRole("row");
  await page.getByRole("searchbox", { name: "Search events" }).fill(`operator ${name}`);
  await says(events.nth(1), "asked by an operator");
  await says(events.nth(1), `coordinator=${name}`);
  await isAccessible("events");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row(name));
}

async function tellsWhatHasEnded(name) {
  await page.getByRole("link", { name: "History" }).click();
  const records = page.getByRole("table", { name: "records" }).getByRole("row");
  await page.getByRole("searchbox", { name: "Search records" }).fill(`verb drain ${name}`);
  await says(records.nth(1), "drain deadline=30m");
  await says(records.nth(1), "done");
  await says(records.nth(1), name);
  await isAccessible("history");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row(name));
}

async function drainsByButton(name) {
  const button = row(name).getByRole("button", { name: `Drain ${name}` });
  const question = page.getByRole("dialog", { name: `Drain ${name}?` });
  await button.focus();
  await page.keyboard.press("Enter");
  await shown(question);
  await isAccessible("question");
  await page.keyboard.press("Escape");
  await gone(question);
  assert.ok(await button.evaluate((one) => one === document.activeElement), "the focus is back where it was");
  takeComplaints();

  await button.click();
  await question.getByLabel("Deadline").fill("soon");
  await question.getByRole("button", { name: "Drain" }).click();
  await says(question.getByRole("alert"), "write a duration such as 30s, 10m or 1h");
  assert.equal(takeComplaints(/status of 400/), 1);
  await question.getByLabel("Deadline").fill("30m");
  await question.getByRole("button", { name: "Drain" }).click();
  await says(page.getByRole("status"), `${name} gets no new session.`);
  await says(row(name), "draining");
  await says(page.locator(".drain"), `${name} waits for 1 session and 1 open operation`);
  await says(page.locator(".countdown"), /^29 m \d+ s$/);
  await says(page.getByRole("table", { name: "Sessions that are waited for" }), "an operation is open");
}

async function resumesByButton(name) {
  await row(name).getByRole("button", { name: `Resume ${name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Resume" }).click();
  await says(page.getByRole("status"), `${name} gets new sessions again.`);
  await says(row(name), "healthy");
}

async function ejectsByButton(name) {
  const button = (title) => row(name).getByRole("button", { name: `${title} ${name}` });
  const question = page.getByRole("dialog");
  await button("Eject").click();
  await says(question, "What is open there goes on: 1 session and 1 open operation.");
  await question.getByRole("button", { name: "Eject" }).click();
  await says(page.getByRole("status"), `${name} is ejected.`);
  await says(row(name), "by an operator");
  await isAccessible("ejected");
  await button("Restore").click();
  await question.getByRole("button", { name: "Restore" }).click();
  await says(page.getByRole("status"), `${name} is ejected no more.`);
  await says(row(name).locator(".state"), "recently returned");
}

async function weighsByButton(name) {
  const question = page.getByRole("dialog");
  const weigh = async (weight) => {
    await row(name).getByRole("button", { name: `Weight ${name}` }).click();
    await question.getByLabel("Weight").fill(weight);
    await question.getByRole("button", { name: "Weight" }).click();
  };
  takeComplaints();
  await weigh("0");
  await says(question.getByRole("alert"), "weight must be a number from 1 to 1000");
  assert.equal(takeComplaints(/status of 400/), 1);
  await page.keyboard.press("Escape");
  await weigh("2");
  await says(row(name), "weight 2");
}

/** Answers the question that a button has asked. */
const confirm = (title) => page.getByRole("dialog").getByRole("button", { name: title, exact: true }).click();

/** Sessions move and end, and an operation is cancelled, each by a button in its row. */
async function actsOnSessionsByButton(busy) {
  const question = page.getByRole("dialog");
  await page.getByRole("link", { name: "Sessions" }).click();
  const sessions = page.getByRole("table", { name: "sessions" }).getByRole("row");
  const pinned = sessions.filter({ hasText: "an operation is open" });
  takeComplaints();
  await pinned.getByRole("button", { name: /^Move session/ }).click();
  await confirm("Move");
  await says(question.getByRole("alert"), "it stays: an operation is open");
  assert.equal(takeComplaints(/status of 409/), 1);
  await page.keyboard.press("Escape");

  const idle = sessions.filter({ hasText: "nothing" });
  const [from] = (await idle.innerText()).match(/\bc[123]\b/);
  const to = ["c1", "c2", "c3"].find((name) => name !== busy && name !== from);
  await idle.getByRole("button", { name: /^Move session/ }).click();
  await question.getByLabel("To which coordinator").fill(to);
  await confirm("Move");
  await says(page.getByRole("status"), `The session is on ${to} now.`);

  const id = await ask("open another session");
  await idle.filter({ hasText: id }).getByRole("button", { name: /^Close session/ }).click();
  await confirm("Close");
  await says(page.getByRole("status"), "The session is closed.");
  await gone(sessions.filter({ hasText: id }));

  await page.getByRole("link", { name: "Fleet" }).click();
  await row(to).getByRole("button", { name: `Move all ${to}` }).click();
  await says(question, "Now it has 1 session.");
  await confirm("Move all");
  await says(page.getByRole("status"), `Sessions leave ${to}, as far as they can.`);

  const connection = await ask("connect once more");
  await page.getByRole("link", { name: "Connections" }).click();
  const connections = page.getByRole("table", { name: "connections" }).getByRole("row");
  await says(connections.filter({ hasText: connection }), "route");
  await isAccessible("connections");
  await connections.filter({ hasText: connection }).getByRole("button", { name: `Cut connection ${connection}` }).click();
  await says(question, `Cut ${connection}?`);
  await confirm("Cut");
  await says(page.getByRole("status"), `${connection} is cut.`);
  await gone(connections.filter({ hasText: connection }));

  await page.getByRole("link", { name: "Operations" }).click();
  await page.getByRole("button", { name: /^Cancel operation/ }).click();
  await confirm("Cancel");
  await says(page.getByRole("status"), `The operation is cancelled on ${busy}.`);
  await says(page.getByRole("table", { name: "operations" }), "ended");
  await page.getByRole("link", { name: "Fleet" }).click();
  await shown(row("c1"));
}

async function leavesTheRotation() {
  const button = (title) => page.locator(".pulse").getByRole("button", { name: title });
  const answer = (title) => page.getByRole("dialog").getByRole("button", { name: title });
  await says(page.locator(".pulse"), "in rotation");
  await button("Take out of rotation").click();
  await answer("Take out of rotation").click();
  await says(page.getByRole("status"), "This router is out of rotation.");
  await says(page.locator(".pulse"), "out of rotation");
  await button("Put in rotation").click();
  await answer("Put in rotation").click();
  await says(page.locator(".pulse"), "in rotation");
}

async function changesTheLogLevel() {
  await page.getByRole("link", { name: "Events" }).click();
  const write = async (level) => {
    await page.getByRole("button", { name: "Log level of this router" }).click();
    await page.getByRole("dialog").getByLabel("Level").fill(level);
    await confirm("Log level");
  };
  takeComplaints();
  await write("loud");
  await says(page.getByRole("dialog").getByRole("alert"), "level must be one of");
  assert.equal(takeComplaints(/status of 400/), 1);
  await page.keyboard.press("Escape");
  await write("warn");
  await says(page.getByRole("status"), "The log is written from warn on.");
  await says(page.locator(".log"), /from warn on; the config has \w+\./);
  await isAccessible("log level");
  await page.getByRole("link", { name: "Fleet" }).click();
}

async function pausesTheCluster() {
  await page.getByRole("button", { name: "Pause cluster test" }).click();
  await confirm("Pause cluster");
  await says(page.getByRole("status"), "New sessions and statements of test wait.");
  await says(notice("test is paused"), "Nobody waits now.");
  await ask("open a session in vain");
  await says(notice("test is paused"), "1 client waits");
  await isAccessible("paused cluster");
  await notice("test is paused").getByRole("link").click();
  await says(page.getByRole("table", { name: "waiting clients" }), "the end of a pause");
  await page.getByRole("link", { name: "Fleet" }).click();
  await page.getByRole("button", { name: "Resume cluster test" }).click();
  await says(page.getByRole("dialog"), "with the 1 that wait now");
  await confirm("Resume cluster");
  await gone(notice("test is paused"));
  await ask("the session opens and is closed");
}

async function showsTheListeners() {
  await page.getByRole("link", { name: "Listeners" }).click();
  const rows = page.getByRole("table", { name: "Listeners" }).getByRole("row");
  await says(rows, "beeswax");
  assert.equal(await rows.count(), 4, "a head and three listeners");
  await says(total("Open connections"), /^1$/);
  await isAccessible("listeners");
  await page.getByRole("link", { name: "Fleet" }).click();
}

async function stopsWhilePaused() {
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await says(page.locator(".pulse"), "paused");
  await ask("close the sessions");
  assert.match(await total("Sessions").innerText(), /^2/);
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await says(total("Sessions"), /^0/);
}

async function saysThatTheRouterIsGone() {
  takeComplaints();
  await ask("the router goes");
  await says(page.getByRole("alert"), "The router does not answer");
  assert.ok(await row("c1").getByRole("button", { name: "Drain c1" }).isDisabled());
  await isAccessible("gone");
  await ask("the router returns");
  await gone(notice("The router does not answer"));
  await says(page.getByRole("status"), "The router answers again.");
  assert.ok(takeComplaints(/^Failed to load resource: net::ERR_/) > 0);
  await says(notice("Certificates are not verified"), "test");
}

async function doesNotWarnInVain() {
  await ask("another router, in the clear");
  await gone(notice("Certificates are not verified"));
  await says(page.locator("main"), "Coordinators are reached without TLS.");
  takeComplaints(/^Failed to load resource: net::ERR_/);
}

/** What the page must not do is refused by the browser, and would have been seen here. */
async function runsNothingForeign() {
  assert.ok(await page.evaluate("window.isThisPage"), "it was never loaded again");
  assert.deepEqual(foreign, []);
  takeComplaints();
  const tries = [
    "document.head.append(Object.assign(document.createElement('style'), { textContent: '* { color: red }' }))",
    "document.body.setAttribute('style', 'color: red')",
    "document.head.append(Object.assign(document.createElement('img'), { src: 'http://localhost:9/' }))",
    "try { document.body.innerHTML = '<b>x</b>' } catch {}",
  ];
  for (const attempt of tries) {
    await page.evaluate(attempt);
    const refused = () => complaints.some((text) => /Content Security Policy|TrustedHTML/.test(text));
    for (let turn = 0; turn < 100 && !refused(); turn += 1) await page.evaluate("new Promise(requestAnimationFrame)");
    assert.ok(refused(), attempt);
    complaints = [];
  }
}

try {
  await showsTheFleet();
  const busy = await followsWhatHappens();
  await leadsFromSessionsToOperations();
  await drawsWhatIsInSight();
  await showsWhoWaits();
  await showsTheConfiguration();
  await drainsByButton(busy);
  await isAccessible("fleet");
  await resumesByButton(busy);
  await tellsWhatHappened(busy);
  await tellsWhatHasEnded(busy);
  await ejectsByButton(busy);
  await weighsByButton(busy);
  await actsOnSessionsByButton(busy);
  await leavesTheRotation();
  await changesTheLogLevel();
  await pausesTheCluster();
  await showsTheListeners();
  await stopsWhilePaused();
  await saysThatTheRouterIsGone();
  await doesNotWarnInVain();
  await runsNothingForeign();
} catch (error) {
  if (pictures) await page.screenshot({ path: `${pictures}/failure.png`, fullPage: true });
  throw error;
} finally {
  await browser.close();
  // Nothing else keeps this program: the test's end of standard input stays open.
  process.stdin.destroy();
}
