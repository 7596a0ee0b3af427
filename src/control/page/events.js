// What happened last: the log, from its level "info" on.
import { html } from "/page/html.js";
import { Word } from "/page/parts.js";
import { Rows, ask, choice } from "/page/rows.js";
import { buttons } from "/page/verbs.js";
import { span } from "/page/words.js";

const chosenBy = (params) => choice(params, "age");

/** What the view asks the API for. */
export const asks = (params) => ({ events: ask("events", chosenBy(params), []), log: "log-level" });

const TONES = { error: "bad", warn: "warn", info: "rest" };

const details = ({ fields }) => fields.map(({ name, value }) => `${name}=${value}`).join(" ");

const columnsAt = (elapsed) => [
  { name: "age", title: "Ago", width: "7%", kind: "figure", text: () => undefined, draw: ({ age }) => span(age + elapsed) },
  { name: "level", title: "Level", width: "8%", draw: ({ level }) => html`<${Word} tone=${TONES[level] ?? "rest"}>${level}<//>` },
  { name: "event", title: "What happened", width: "24%" },
  { name: "connection", title: "Connection", width: "22%" },
  { name: "fields", title: "Details", value: details, text: details, draw: details },
];

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Events({ figures, elapsed, params, page }) {
  const { log } = figures;
  const { total, matching, events } = figures.events;
  // Nothing in a row has a state of its own, so its place among the others is name enough.
  const rows = events.map((row, place) => ({ ...row, key: `${total - place} ${row.event}` }));
  return html`<h1 class="hidden">Events</h1>
    <p class="log">
      The log is written from <code>${log.level}</code> on${log.level === log.configured ? "" : html`; the config has <code>${log.configured}</code>`}.
      ${buttons(["log-level"], log, "of this router", page)}
    </p>
    <${Rows} view="events" what="events" rows=${rows} columns=${columnsAt(elapsed)} chosen=${chosenBy(params)}
      matching=${matching} total=${total} none="Nothing has happened yet: no coordinator was ejected, drained or restored, and nobody was refused." />`;
}
