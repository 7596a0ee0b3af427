// The sessions and operations that have ended, and what operators had done.
import { html } from "/page/html.js";
import { Word, userColumn } from "/page/parts.js";
import { Rows, ask, choice } from "/page/rows.js";
import { span } from "/page/words.js";

const chosenBy = (params) => choice(params, "-end");

/** What the view asks the API for. */
export const asks = (params) => ({ history: ask("history", chosenBy(params), ["end", "lasted"]) });

/** How an end is marked; others are usual, as is whatever operators had done. */
const TONES = {
  failed: "bad", lost: "bad", gone: "bad",
  timed_out: "warn", expired: "warn", abandoned: "warn", forgotten: "warn", not_followed: "warn", closed_by_operator: "warn",
  finished: "good", done: "good",
};

const tone = ({ kind, outcome }) => TONES[outcome] ?? (kind === "verb" ? "warn" : "rest");

const words = ({ outcome }) => outcome.replaceAll("_", " ");

const what = ({ kind, verb, connection, query, operation_kind }) =>
  kind === "verb" ? [verb, connection, query].filter(Boolean).join(" ") : (operation_kind ?? kind);

/** Where it was last, and before that. */
const where = ({ earlier_coordinators, coordinator, cluster }) =>
  [...earlier_coordinators, coordinator].filter(Boolean).join(" → ") || cluster || "";

const linked = (id) => html`<a href="#/history?filter=${encodeURIComponent(id)}&sort=-end"><code>${id}</code></a>`;

const moment = (text) => new Date(text).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "medium" });

const COLUMNS = [
  { name: "end", title: "Ended", width: "13%", kind: "figure", text: ({ start, end }) => `${start} to ${end}`, draw: ({ end }) => html`<time datetime=${end}>${moment(end)}</time>` },
  { name: "lasted", title: "Lasted", width: "7%", kind: "figure", text: () => undefined, draw: ({ lasted }) => span(lasted) },
  { name: "kind", title: "What", width: "9%", value: what, text: what, draw: what },
  { name: "outcome", title: "Outcome", width: "13%", text: words, draw: (row) => html`<${Word} tone=${tone(row)}>${words(row)}<//>` },
  userColumn("10%"),
  { name: "client", title: "Client", width: "9%" },
  { name: "coordinator", title: "Coordinator", width: "11%", value: where, text: where, draw: where },
  { name: "session", title: "Session", draw: ({ session }) => (session ? linked(session) : html`<span class="dim">–</span>`) },
  { name: "operation", title: "Operation", draw: ({ operation }) => (operation ? linked(operation) : html`<span class="dim">–</span>`) },
];

/** The view. */
export function History({ figures, params }) {
  const { total, matching, history } = figures.history;
  const rows = history.map((row) => ({ ...row, key: `${row.end} ${row.kind} ${row.operation ?? row.session ?? row.verb}` }));
  return html`<h1 class="hidden">History</h1>
    <${Rows} view="history" what="records" rows=${rows} columns=${COLUMNS} chosen=${chosenBy(params)}
      matching=${matching} total=${total} none="Nothing has ended yet: no session, no operation, and no operator had anything done." />`;
}
