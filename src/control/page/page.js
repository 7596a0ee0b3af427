// The page: what it knows, how that is kept up to date, and the frame around its views.
import { Configuration } from "/page/configuration.js";
import { Connections, asks as asksOfConnections } from "/page/connections.js";
import { Question } from "/page/dialog.js";
import { Events, asks as asksOfEvents } from "/page/events.js";
import { Fleet } from "/page/fleet.js";
import { History, asks as asksOfHistory } from "/page/history.js";
import { html, render } from "/page/html.js";
import { Listeners } from "/page/listeners.js";
import { Operations, asks as asksOfOperations } from "/page/operations.js";
import { Notice, Word } from "/page/parts.js";
import { Sessions, asks as asksOfSessions } from "/page/sessions.js";
import { Refusal, read } from "/page/source.js";
import { VERBS } from "/page/verbs.js";
import { Waiting, asks as asksOfWaiting } from "/page/waiting.js";
import { span, timeOfDay } from "/page/words.js";

/** How long to wait between two looks, in milliseconds. */
const PERIOD = 2000;

/** How long what was done is shown, in milliseconds. */
const SHOWN = 8000;

/** Each with its title, what draws it, and what it asks the API for. */
const VIEWS = {
  fleet: { title: "Fleet", view: Fleet, asks: () => ({ coordinators: "coordinators", clusters: "clusters" }) },
  sessions: { title: "Sessions", view: Sessions, asks: asksOfSessions },
  connections: { title: "Connections", view: Connections, asks: asksOfConnections },
  operations: { title: "Operations", view: Operations, asks: asksOfOperations },
  waiting: { title: "Waiting", view: Waiting, asks: asksOfWaiting },
  events: { title: "Events", view: Events, asks: asksOfEvents },
  history: { title: "History", view: History, asks: asksOfHistory },
  listeners: { title: "Listeners", view: Listeners, asks: () => ({ listeners: "listeners" }) },
  configuration: { title: "Configuration", view: Configuration, asks: () => ({ config: "config" }) },
};

const page = {
  /** The last answer to the view that is shown; nothing before the first. */
  figures: null,
  /** The view that they are of. */
  of: null,
  /** How often the router was asked. */
  asked: 0,
  readAt: 0,
  /** Since when the router has not answered, in milliseconds; while it does, nothing. */
  silentSince: null,
  trouble: "",
  isPaused: false,
  /** What was said last, to people who see it and people who hear it. */
  said: "",
  question: null,
  /** The coordinators whose ports are shown. */
  open: new Set(),

  get isSilent() {
    return this.silentSince !== null;
  },
  toggle(key) {
    if (!this.open.delete(key)) this.open.add(key);
    draw();
  },
  ask(verb, to) {
    this.question = { verb, to };
    draw();
  },
  askNothing() {
    this.question = null;
    draw();
  },
  say(words) {
    this.said = words;
    clearTimeout(this.unsaid);
    this.unsaid = setTimeout(() => this.say(""), SHOWN);
    draw();
  },
};

/** The view in the address, with its parameters. */
function viewNow() {
  const [name, query] = location.hash.slice(2).split("?");
  return { ...(VIEWS[name] ?? VIEWS.fleet), params: new URLSearchParams(query ?? "") };
}

async function look() {
  const { view, asks, params } = viewNow();
  page.asked += 1;
  const turn = page.asked;
  try {
    const figures = await read({ rotation: "rotation", ...asks(params) });
    // Somebody has gone on to another view, or searches for something else.
    if (turn !== page.asked) return;
    Object.assign(page, { figures, of: view, readAt: Date.now() });
    if (page.isSilent) page.say("The router answers again.");
    page.silentSince = null;
  } catch (error) {
    if (turn !== page.asked) return;
    page.silentSince ??= Date.now();
    page.trouble = error instanceof Refusal ? `It says: ${error.message}` : "";
  }
  draw();
}

async function keepReading() {
  for (;;) {
    if (!page.isPaused && !document.hidden) await look();
    await new Promise((resolve) => {
      page.wake = resolve;
      setTimeout(resolve, PERIOD);
    });
  }
}

function pause() {
  page.isPaused = !page.isPaused;
  page.wake?.();
  draw();
}

function Pulse() {
  if (page.isSilent) return html`<${Word} tone="bad">no answer<//>`;
  if (!page.figures) return html`<${Word} tone="rest">connecting<//>`;
  const at = html`<span class="dim">${timeOfDay(page.readAt)}</span>`;
  return page.isPaused ? html`<${Word} tone="rest">paused<//> ${at}` : html`<${Word} tone="good">live<//> ${at}`;
}

/** Whether load balancers are to send new clients, and the button that changes it. */
function Rotation() {
  if (!page.figures) return "";
  const { rotation, readyz } = page.figures.rotation;
  const verb = rotation === "in" ? "rotation out" : "rotation in";
  const tone = readyz === "ok" ? "good" : "warn";
  return html`<${Word} tone=${tone}>${readyz === "draining" ? readyz : `${rotation}${rotation === "out" ? " of" : ""} rotation`}<//>
    <button disabled=${page.isSilent} onClick=${() => page.ask(verb, {})}>${VERBS[verb].title}</button>`;
}

function Bar() {
  const now = viewNow();
  const links = Object.entries(VIEWS).map(
    ([name, { title }]) => html`<a href="#/${name}" aria-current=${title === now.title ? "page" : undefined}>${title}</a>`,
  );
  return html`<header class="bar-top">
    <a class="skip" href="#content" onClick=${skip}>Skip to the figures</a>
    <span class="brand">hs2router <span class="dim">${location.host}</span></span>
    <nav aria-label="Views">${links}</nav>
    <div class="pulse">
      <${Rotation} />
      <${Pulse} />
      <button aria-pressed=${String(page.isPaused)} onClick=${pause}>Pause</button>
    </div>
  </header>`;
}

/** Moves the focus and leaves the address alone, which names the view. */
function skip(event) {
  event.preventDefault();
  document.querySelector("main").focus();
}

function Silence() {
  if (!page.isSilent) return "";
  const since = `since ${timeOfDay(page.silentSince)}`;
  return html`<div role="alert">
    <${Notice} tone="bad" title="The router does not answer">
      <p>
        No answer ${since}. ${page.trouble} ${page.figures ? `What you see is of ${timeOfDay(page.readAt)}. ` : ""}This page asks
        again every ${span(PERIOD / 1000)}.
      </p>
    <//>
  </div>`;
}

function Page() {
  const { view, params } = viewNow();
  const figures = page.of === view ? page.figures : null;
  // Ages stand still while nothing is read: nobody knows how they went on.
  const stands = page.isSilent || page.isPaused;
  const elapsed = stands || !figures ? 0 : (Date.now() - page.readAt) / 1000;
  return html`<${Bar} />
    <main id="content" tabindex="-1" class=${page.isSilent ? "stale" : ""}>
      <${Silence} />
      ${figures ? html`<${view} figures=${figures} elapsed=${elapsed} params=${params} page=${page} />` : ""}
      ${!figures && !page.isSilent ? html`<p class="empty">Reading the figures …</p>` : ""}
    </main>
    <div class="said" role="status">${page.said}</div>
    ${page.question &&
    html`<${Question}
      ...${page.question}
      onClose=${() => page.askNothing()}
      onDone=${(words) => {
        page.say(words);
        look();
      }}
    />`}`;
}

const root = document.getElementById("page");

function draw() {
  document.title = `${viewNow().title} · hs2router`;
  render(html`<${Page} />`, root);
}

addEventListener("hashchange", () => {
  draw();
  look();
});
document.addEventListener("visibilitychange", () => page.wake?.());
// Ages and countdowns go on between two looks.
setInterval(draw, 1000);
root.replaceChildren();
draw();
keepReading();
