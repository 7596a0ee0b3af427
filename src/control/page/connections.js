// The connections of clients.
import { html } from "/page/html.js";
import { userColumn } from "/page/parts.js";
import { Rows, ask, choice } from "/page/rows.js";
import { buttons } from "/page/verbs.js";
import { span } from "/page/words.js";

const chosenBy = (params) => choice(params, "-age");

/** What the view asks the API for. */
export const asks = (params) => ({ connections: ask("connections", chosenBy(params), []) });

/** What became of TLS, where there is any. */
const TLS = { terminated: "TLS", passed_through: "TLS, unread" };

const form = ({ transport, tls }) => [transport, TLS[tls]].filter(Boolean).join(" in ") || undefined;

const columnsAt = (elapsed, page) => [
  { name: "connection", title: "Connection", width: "9%", draw: ({ connection }) => html`<code>${connection}</code>` },
  userColumn("12%"),
  { name: "client", title: "Client", width: "15%", text: ({ client, via }) => (via ? `${client ?? "not known yet"} by ${via}` : client) },
  { name: "listener", title: "Listener", width: "14%" },
  { name: "cluster", title: "Cluster", width: "9%" },
  { name: "depth", title: "Depth", width: "8%" },
  { name: "transport", title: "Transport", value: (row) => form(row) ?? "", text: form, draw: (row) => form(row) ?? html`<span class="dim">–</span>` },
  { name: "coordinator", title: "Passed on to", width: "10%" },
  { name: "age", title: "Age", width: "7%", kind: "figure", text: () => undefined, draw: ({ age }) => span(age + elapsed) },
  {
    name: "action",
    title: "Action",
    width: "7%",
    kind: "action",
    text: () => undefined,
    draw: (row) => buttons(["cut"], row, `connection ${row.connection}`, page),
  },
];

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Connections({ figures, elapsed, params, page }) {
  const { total, matching, connections } = figures.connections;
  const rows = connections.map((row) => ({ ...row, key: row.connection }));
  return html`<h1 class="hidden">Connections</h1>
    <${Rows} view="connections" what="connections" rows=${rows} columns=${columnsAt(elapsed, page)} chosen=${chosenBy(params)}
      matching=${matching} total=${total} none="No client is connected." />`;
}
