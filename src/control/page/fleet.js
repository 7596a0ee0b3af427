// The fleet: every coordinator with its state, its load and what a drain still waits for.
import { html } from "/page/html.js";
import { Ports } from "/page/ports.js";
import { Ago, Bar, Cell, Certificate, Failure, Head, Notice, Total, Word } from "/page/parts.js";
import { isEmpty, left, standing } from "/page/standing.js";
import { buttons, offered } from "/page/verbs.js";
import { count, list, number, span } from "/page/words.js";

const COLUMNS = [
  "Coordinator",
  "State",
  { title: "Sessions", kind: "figure" },
  { title: "Running", kind: "figure" },
  { title: "Open operations", kind: "figure" },
  { title: "Links", kind: "figure" },
  { title: "Action", kind: "action" },
];

const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);

/** The links of all ports together; no limit if a port has none. */
function linksOf({ ports }) {
  const links = ports.map((port) => port.links).filter(Boolean);
  const limited = links.length > 0 && links.every(({ limit }) => limit !== null);
  return {
    open: sum(links, ({ open }) => open),
    limit: limited ? sum(links, ({ limit }) => limit) : null,
    waiting: sum(links, ({ waiting }) => waiting),
    crowded: links.some(({ crowded }) => crowded),
  };
}

function Unverified({ clusters, coordinators }) {
  const names = clusters.filter(({ tls }) => tls?.verify === "none").map(({ name }) => name);
  if (names.length === 0) return "";
  const affected = coordinators.filter(({ tls }) => tls?.verify === "none");
  return html`<${Notice} tone="bad" title="Certificates are not verified">
    <p>
      ${names.length === 1 ? "Cluster " : "Clusters "}<strong>${list(names)}</strong> ${names.length === 1 ? "has" : "have"}
      ${" "}<code>verify = "none"</code>. Whoever gets between the router and ${count(affected.length, "coordinator")} can
      pose as a coordinator, and read and change everything: passwords, statements and rows.
    </p>
    <p>Set <code>verify = "full"</code> and <code>ca</code> in <code>[cluster.tls]</code>.</p>
  <//>`;
}

function Paused({ cluster, elapsed }) {
  const { name, paused_for, resumes_in, waiting } = cluster;
  if (paused_for === null) return "";
  return html`<${Notice} tone="warn" title="${name} is paused">
    <p>
      New sessions and statements wait: an operator has paused the cluster <${Ago} seconds=${paused_for + elapsed} />.
      ${resumes_in === null ? "" : ` It is resumed in ${span(Math.max(0, resumes_in - elapsed))}.`}
      ${waiting === 0 ? " Nobody waits now." : html` <a href="#/waiting?filter=resume">${count(waiting, "client waits", "clients wait")}</a>.`}
    </p>
  <//>`;
}

function Totals({ coordinators }) {
  const healthy = coordinators.filter((one) => standing(one)[0].tone === "good").length;
  const links = coordinators.map(linksOf);
  const others = (of) => {
    const total = sum(coordinators, (one) => (one.others ? of(one.others) : 0));
    return total > 0 ? `+ ${count(total, "other")}` : "";
  };
  return html`<dl class="totals">
    <${Total} name="Healthy coordinators" value=${healthy} note="of ${number(coordinators.length)}" />
    <${Total} name="Sessions" value=${sum(coordinators, (one) => one.sessions)} note=${others((of) => of.sessions)} />
    <${Total} name="Running operations" value=${sum(coordinators, (one) => one.running)} note=${others((of) => of.operations)} />
    <${Total} name="Open operations" value=${sum(coordinators, (one) => one.open_operations)} />
    <${Total} name="Links" value=${sum(links, ({ open }) => open)} />
    <${Total} name="Calls that wait" value=${sum(links, ({ waiting }) => waiting)} />
  </dl>`;
}

function States({ coordinator, elapsed }) {
  return standing(coordinator).map(
    ({ tone, word, why, since }) => html`<div class="state" key=${word + why}>
      <${Word} tone=${tone}>${word}<//>
      ${since === null ? "" : html` <span class="dim"><${Ago} seconds=${since + elapsed} /></span>`}
      ${why ? html`<div class="why break">${why}</div>` : ""}
    </div>`,
  );
}

function Load({ own, others, most }) {
  return html`<span class="amount">${number(own)}</span>
    ${others > 0 ? html` <span class="dim others-too">+ ${count(others, "other")}</span>` : ""}
    <${Bar} own=${own} others=${others} most=${most} />`;
}

function Links({ coordinator }) {
  const { open, limit, waiting, crowded } = linksOf(coordinator);
  return html`<span class="amount">${number(open)}</span>${limit === null ? "" : html` <span class="dim">of ${number(limit)}</span>`}
    ${waiting > 0 ? html`<div><${Word} tone="warn">${count(waiting, "call waits", "calls wait")}<//></div>` : ""}
    ${crowded ? html`<div><${Word} tone="warn">crowded<//></div>` : ""}
    ${limit === null ? "" : html`<${Bar} own=${open} most=${limit} tone=${open >= limit ? "full" : ""} />`}`;
}

function Waited({ sessions, all }) {
  if (sessions.length === 0) return "";
  return html`<table class="inner" role="table" aria-label="Sessions that are waited for">
      <${Head} columns=${["Session", { title: "Open operations", kind: "figure" }, "Why it stays"]} />
      <tbody role="rowgroup">
        ${sessions.map(
          ({ session, open_operations, pinned }) => html`<tr role="row" key=${session}>
            <${Cell} label="Session"><code>${session}</code><//>
            <${Cell} label="Open operations" kind="figure">${number(open_operations)}<//>
            <${Cell} label="Why it stays">${pinned ?? "it is about to move"}<//>
          </tr>`,
        )}
      </tbody>
    </table>
    ${all > sessions.length ? html`<p class="dim">and ${number(all - sessions.length)} more</p>` : ""}`;
}

function Drain({ coordinator, elapsed }) {
  const { drain, quiescing_for, waits_for, sessions, name } = coordinator;
  if (isEmpty(coordinator) || (!drain && quiescing_for === null)) return "";
  const remaining = drain && drain.deadline_in - elapsed;
  const then = drain && (drain.then === "cancel" ? "what is open then is cancelled" : "what is open then goes on");
  return html`<tr role="row" class="below">
    <td role="cell" colspan=${COLUMNS.length}>
      <div class="drain">
        <h3>${name} waits for ${left(coordinator)}</h3>
        ${drain &&
        html`<p>
          ${remaining > 0
            ? html`<strong class="countdown">${span(remaining)}</strong> until the deadline; ${then}.`
            : "The deadline has come."}
        </p>`}
        <${Waited} sessions=${waits_for} all=${sessions} />
      </div>
    </td>
  </tr>`;
}

function Coordinator({ coordinator, most, elapsed, page }) {
  const { cluster, name, host, weight, tls, others } = coordinator;
  const key = `${cluster}/${name}`;
  const isOpen = page.open.has(key);
  return html`<tr role="row" class=${isOpen ? "opened" : ""}>
      <${Cell} label="Coordinator" kind="name">
        <button class="plain more" aria-expanded=${String(isOpen)} aria-label="Ports of ${name}" onClick=${() => page.toggle(key)}>
          <span aria-hidden="true">${isOpen ? "▾" : "▸"}</span> <strong>${name}</strong>
        </button>
        ${weight === 1 ? "" : html` <span class="tag">weight ${weight}</span>`}
        ${host === name ? "" : html`<div class="dim break">${host}</div>`}
        ${tls?.verify === "none" ? html`<div><${Word} tone="bad">TLS not verified<//></div>` : ""}
      <//>
      <${Cell} label="State"><${States} coordinator=${coordinator} elapsed=${elapsed} /><//>
      <${Cell} label="Sessions" kind="figure">
        <${Load} own=${coordinator.sessions} others=${others?.sessions ?? 0} most=${most.sessions} />
      <//>
      <${Cell} label="Running" kind="figure">
        <${Load} own=${coordinator.running} others=${others?.operations ?? 0} most=${most.running} />
      <//>
      <${Cell} label="Open operations" kind="figure"><span class="amount">${number(coordinator.open_operations)}</span><//>
      <${Cell} label="Links" kind="figure"><${Links} coordinator=${coordinator} /><//>
      <${Cell} label="Action" kind="action">
        ${buttons(offered(coordinator), coordinator, name, page)}
      <//>
    </tr>
    <${Drain} coordinator=${coordinator} elapsed=${elapsed} />
    ${isOpen &&
    html`<tr role="row" class="below"><td role="cell" colspan=${COLUMNS.length}><${Ports} coordinator=${coordinator} elapsed=${elapsed} /></td></tr>`}`;
}

const VERIFIED = { "full": "certificates are verified", "name-of-cluster": "certificates are verified for one name" };

function TlsOf({ tls, elapsed }) {
  if (!tls) return html`<p class="dim">Coordinators are reached without TLS.</p>`;
  return html`<div class="tls">
    ${tls.verify === "none"
      ? html`<${Word} tone="bad">TLS, certificates are not verified<//>`
      : html`<${Word} tone="good">TLS, ${VERIFIED[tls.verify]}<//> <span class="dim break">${tls.server_name ?? ""} by ${tls.trusts}</span>`}
    <${Failure} files=${tls.files} elapsed=${elapsed} />
    ${tls.client_certificate &&
    html`<details>
      <summary>The router's own certificate: ${tls.client_certificate.standing}</summary>
      <${Certificate} certificate=${tls.client_certificate} elapsed=${elapsed} />
    </details>`}
  </div>`;
}

function Cluster({ cluster, coordinators, elapsed, page }) {
  const most = {
    sessions: Math.max(...coordinators.map((one) => one.sessions + (one.others?.sessions ?? 0))),
    running: Math.max(...coordinators.map((one) => one.running + (one.others?.operations ?? 0))),
  };
  const id = `cluster-${cluster.name}`;
  return html`<section class="card" aria-labelledby=${id}>
    <header>
      <h2 id=${id}>${cluster.name} <span class="dim">${count(coordinators.length, "coordinator")}</span></h2>
      <${TlsOf} tls=${cluster.tls} elapsed=${elapsed} />
      ${buttons([cluster.paused_for === null ? "pause-cluster" : "resume-cluster"], cluster, cluster.name, page)}
    </header>
    ${coordinators.length === 0
      ? html`<p class="empty">This cluster has no coordinator. Name some under <code>coordinators</code> in its <code>[[cluster]]</code>.</p>`
      : html`<table class="rows fleet" role="table" aria-labelledby=${id}>
          <${Head} columns=${COLUMNS} />
          <tbody role="rowgroup">
            ${coordinators.map(
              (one) => html`<${Coordinator} key=${one.name} coordinator=${one} most=${most} elapsed=${elapsed} page=${page} />`,
            )}
          </tbody>
        </table>`}
  </section>`;
}

/** The view. `elapsed` is how old the figures are, in seconds. */
export function Fleet({ figures, elapsed, page }) {
  const { coordinators, clusters } = figures;
  return html`<h1 class="hidden">Fleet</h1>
    <${Unverified} clusters=${clusters} coordinators=${coordinators} />
    ${clusters.map((cluster) => html`<${Paused} key=${cluster.name} cluster=${cluster} elapsed=${elapsed} />`)}
    <${Totals} coordinators=${coordinators} />
    ${clusters.map((cluster) => {
      const own = coordinators.filter((one) => one.cluster === cluster.name);
      return html`<${Cluster} key=${cluster.name} cluster=${cluster} coordinators=${own} elapsed=${elapsed} page=${page} />`;
    })}
    <p class="dim">Others are direct clients and other routers, as the coordinators' web ports tell.</p>`;
}
