// The listeners: where clients connect, and the certificates that they get.
import { html } from "/page/html.js";
import { Cell, Certificate, Failure, Head, Total, Word } from "/page/parts.js";
import { count, number } from "/page/words.js";

const COLUMNS = [
  "Listener",
  "Cluster",
  { title: "Open connections", kind: "figure" },
  { title: "Served in the clear", kind: "figure" },
  { title: "With TLS", kind: "figure" },
  { title: "TLS relayed unread", kind: "figure" },
  "TLS",
];

const OF_CLIENTS = { required: "clients must show a certificate", optional: "clients may show a certificate" };

function Tls({ tls, elapsed }) {
  if (!tls) return html`<span class="dim">no certificate: TLS is relayed unread</span>`;
  const terms = [`${tls.minimum_version} or newer`, tls.required ? "required" : "optional", OF_CLIENTS[tls.client_auth]];
  return html`<div>TLS ${terms.filter(Boolean).join(", ")}</div>
    <${Failure} files=${tls.files} elapsed=${elapsed} />
    ${tls.certificates.map((one) => html`<${Certificate} certificate=${one} elapsed=${elapsed} />`)}`;
}

function Listener({ listener, elapsed }) {
  const { address, service, cluster, connections, tls } = listener;
  const figure = (label, value) => html`<${Cell} label=${label} kind="figure"><span class="amount">${number(value)}</span><//>`;
  return html`<tr role="row">
    <${Cell} label="Listener" kind="name"><strong>${address}</strong> <span class="tag">${service}</span><//>
    <${Cell} label="Cluster">${cluster}<//>
    ${figure("Open connections", connections.open)} ${figure("Served in the clear", connections.clear)}
    ${figure("With TLS", connections.terminated)} ${figure("TLS relayed unread", connections.passed_through)}
    <${Cell} label="TLS"><${Tls} tls=${tls} elapsed=${elapsed} /><//>
  </tr>`;
}

const isTroubled = ({ tls }) =>
  tls && (tls.files?.failure || tls.certificates.some(({ standing }) => standing !== "valid"));

function Certificates({ listeners }) {
  if (!listeners.some(({ tls }) => tls)) return html`<span class="dim">none</span>`;
  const troubled = listeners.filter(isTroubled).length;
  if (troubled === 0) return html`<${Word} tone="good">all well<//>`;
  return html`<${Word} tone="bad">${count(troubled, "listener")} to look at<//>`;
}

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Listeners({ figures, elapsed }) {
  const { listeners } = figures;
  const open = listeners.reduce((total, { connections }) => total + connections.open, 0);
  if (listeners.length === 0) {
    return html`<p class="empty">There is no listener, so no client can connect. Add a <code>[[listener]]</code> to the config file.</p>`;
  }
  return html`<h1 class="hidden">Listeners</h1>
    <dl class="totals">
      <${Total} name="Listeners" value=${listeners.length} />
      <${Total} name="Open connections" value=${open} />
      <${Total} name="Certificates" value=${html`<${Certificates} listeners=${listeners} />`} />
    </dl>
    <section class="card" aria-label="Listeners">
      <table class="rows listeners" role="table" aria-label="Listeners">
        <${Head} columns=${COLUMNS} />
        <tbody role="rowgroup">
          ${listeners.map((one) => html`<${Listener} key=${one.address} listener=${one} elapsed=${elapsed} />`)}
        </tbody>
      </table>
      <p class="dim note">Served connections are counted since the router's start.</p>
    </section>`;
}
