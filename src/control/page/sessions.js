// The sessions of the fleet.
import { html } from "/page/html.js";
import { Word, userColumn } from "/page/parts.js";
import { Rows, ask, choice } from "/page/rows.js";
import { buttons } from "/page/verbs.js";
import { number, span } from "/page/words.js";

const chosenBy = (params) => choice(params, "-age");

/** What the view asks the API for. */
export const asks = (params) => ({ sessions: ask("sessions", chosenBy(params), ["age", "idle", "open_operations"]) });

function stays({ state, pinned, located }) {
  if (state !== "live") return html`<${Word} tone="warn">${state}<//>`;
  if (pinned) return html`${pinned}${located ? html` <span class="tag">located</span>` : ""}`;
  return html`<span class="dim">nothing</span>`;
}

const columnsAt = (elapsed, page) => [
  userColumn("10%"),
  { name: "client", title: "Client", width: "8%" },
  { name: "listener", title: "Listener", width: "14%", draw: ({ listener, service }) => html`${listener} <span class="tag">${service}</span>` },
  { name: "coordinator", title: "Coordinator", width: "10%", text: ({ coordinator, cluster }) => `${coordinator} in ${cluster}` },
  { name: "age", title: "Age", width: "6%", kind: "figure", text: () => undefined, draw: ({ age }) => span(age + elapsed) },
  { name: "idle", title: "Idle", width: "6%", kind: "figure", text: () => undefined, draw: ({ idle }) => (idle === 0 ? "in use" : span(idle + elapsed)) },
  {
    name: "open_operations",
    title: "Open operations", width: "9%",
    kind: "figure",
    text: () => undefined,
    draw: ({ open_operations, session }) =>
      open_operations === 0 ? "0" : html`<a href="#/operations?filter=${encodeURIComponent(session)}">${number(open_operations)}</a>`,
  },
  { name: "pinned", title: "What keeps it there", width: "11%", draw: stays },
  { name: "session", title: "Session", draw: ({ session }) => html`<code>${session}</code>` },
  {
    name: "action",
    title: "Action",
    width: "11%",
    kind: "action",
    text: () => undefined,
    draw: (row) => buttons(["move", "close"], row, `session ${row.session}`, page),
  },
];

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Sessions({ figures, elapsed, params, page }) {
  const { total, matching, sessions } = figures.sessions;
  const rows = sessions.map((row) => ({ ...row, key: `${row.cluster}/${row.session}` }));
  return html`<h1 class="hidden">Sessions</h1>
    <${Rows} view="sessions" what="sessions" rows=${rows} columns=${columnsAt(elapsed, page)} chosen=${chosenBy(params)}
      matching=${matching} total=${total} none="No session is open. Clients that connect to a listener open some." />`;
}
