// The config that the router was started with.
import { html } from "/page/html.js";

const isTable = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The values of a table by their keys. A table in it adds its own, with its name before them. */
const settings = (table, before = "") => Object.entries(table).flatMap(([key, value]) => {
  if (isTable(value)) return settings(value, `${before}${key}.`);
  if (Array.isArray(value) && value.some(isTable)) {
    return value.flatMap((one, place) => settings(one, `${before}${key}[${one.name ?? place}].`));
  }
  return [[`${before}${key}`, value]];
});

const written = (value) => (Array.isArray(value) ? value.map(written).join(", ") || html`<span class="dim">none</span>` : String(value));

function Section({ header, table }) {
  return html`<section class="card" aria-label=${header}>
    <header><h2><code>${header}</code></h2></header>
    <dl class="settings">
      ${settings(table).map(([key, value]) => html`<div key=${key}><dt><code>${key}</code></dt><dd>${written(value)}</dd></div>`)}
    </dl>
  </section>`;
}

/** The view. */
export function Configuration({ figures }) {
  const { router, log, admin, listener, cluster } = figures.config;
  return html`<h1 class="hidden">Configuration</h1>
    <p class="dim note">What holds since the router's start, defaults included. <code>hs2router config</code> writes it as a file.</p>
    ${listener.map((one, place) => html`<${Section} key=${place} header="[[listener]] ${one.address}" table=${one} />`)}
    ${cluster.map((one) => html`<${Section} key=${one.name} header="[[cluster]] ${one.name}" table=${one} />`)}
    <${Section} header="[router]" table=${router} />
    <${Section} header="[log]" table=${log} />
    <${Section} header="[admin]" table=${admin} />`;
}
