// The open operations of the fleet.
import { html } from "/page/html.js";
import { Word, userColumn } from "/page/parts.js";
import { Rows, ask, choice } from "/page/rows.js";
import { buttons } from "/page/verbs.js";
import { span } from "/page/words.js";

const chosenBy = (params) => choice(params, "-age");

/** What the view asks the API for. */
export const asks = (params) => ({ operations: ask("operations", chosenBy(params), []) });

const TONES = { running: "good", ended: "rest", lost: "bad" };

const columnsAt = (elapsed, page) => [
  { name: "age", title: "Age", width: "7%", kind: "figure", text: () => undefined, draw: ({ age }) => span(age + elapsed) },
  { name: "state", title: "State", width: "8%", draw: ({ state }) => html`<${Word} tone=${TONES[state] ?? "warn"}>${state}<//>` },
  userColumn("9%"),
  { name: "kind", title: "Kind", width: "7%" },
  { name: "client", title: "Client", width: "9%" },
  { name: "coordinator", title: "Coordinator", width: "11%", text: ({ coordinator, cluster }) => `${coordinator} in ${cluster}` },
  { name: "operation", title: "Operation", draw: ({ operation }) => html`<code>${operation}</code>` },
  {
    name: "session",
    title: "Session",
    draw: ({ session }) =>
      session ? html`<a href="#/sessions?filter=${encodeURIComponent(session)}"><code>${session}</code></a>` : html`<span class="dim">not known</span>`,
  },
  {
    name: "action",
    title: "Action",
    width: "8%",
    kind: "action",
    text: () => undefined,
    draw: (row) => buttons(["cancel"], row, `operation ${row.operation}`, page),
  },
];

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Operations({ figures, elapsed, params, page }) {
  const { total, matching, operations } = figures.operations;
  const rows = operations.map((row) => ({ ...row, key: `${row.cluster}/${row.operation}` }));
  return html`<h1 class="hidden">Operations</h1>
    <${Rows} view="operations" what="operations" rows=${rows} columns=${columnsAt(elapsed, page)} chosen=${chosenBy(params)}
      matching=${matching} total=${total} none="No operation is open. A statement is one from its start until its client closes it." />`;
}
