// The clients that wait for room or for the end of a pause, and their places.
import { html } from "/page/html.js";
import { userColumn } from "/page/parts.js";
import { Rows, ask, choice } from "/page/rows.js";
import { span } from "/page/words.js";

const chosenBy = (params) => choice(params, "-age");

/** What the view asks the API for. */
export const asks = (params) => ({ waiting: ask("waiting", chosenBy(params), []) });

const WANTS = {
  resume: "the end of a pause",
  connection: "a connection, to any coordinator",
  session: "a session, on any coordinator",
  call: "its turn there",
  cancel: "its turn there, to cancel or close",
};

const wants = ({ waits_for }) => WANTS[waits_for] ?? waits_for;

const columnsAt = (elapsed) => [
  { name: "age", title: "Waited", width: "10%", kind: "figure", text: () => undefined, draw: ({ age }) => span(age + elapsed) },
  { name: "place", title: "Place", width: "7%", kind: "figure" },
  userColumn("15%"),
  { name: "client", title: "Client", width: "13%" },
  { name: "waits_for", title: "For", value: wants, text: wants, draw: wants },
  { name: "coordinator", title: "Coordinator", width: "18%", text: ({ coordinator, cluster }) => `${coordinator ?? "any"} in ${cluster}`, draw: ({ coordinator }) => coordinator ?? html`<span class="dim">any</span>` },
  { name: "cluster", title: "Cluster", width: "12%" },
];

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Waiting({ figures, elapsed, params }) {
  const { total, matching, waiting } = figures.waiting;
  // Nothing in a row has a state of its own, so its place is name enough.
  const rows = waiting.map((row) => ({ ...row, key: `${row.cluster}/${row.coordinator}/${row.service}/${row.waits_for}/${row.place}` }));
  return html`<h1 class="hidden">Waiting</h1>
    <${Rows} view="waiting" what="waiting clients" rows=${rows} columns=${columnsAt(elapsed)} chosen=${chosenBy(params)}
      matching=${matching} total=${total} none="Nobody waits: there is room for every call and every new session." />`;
}
