// The ports of one coordinator, with all that picks go by.
import { html } from "/page/html.js";
import { Ago, Cell, Head, Word } from "/page/parts.js";
import { number } from "/page/words.js";

const TONES = { healthy: "good", suspect: "warn", probation: "warn", ejected: "bad" };

const TERMS = [
  ["running", "running"],
  ["opens", "opens"],
  ["sessions", "sessions"],
  ["others_running", "others' running"],
  ["others_sessions", "others' sessions"],
];

/** How a score comes about: "1 running + 0.1 sessions, divided by 2". */
function sumOf(score) {
  const terms = TERMS.filter(([name]) => score[name] > 0).map(([name, words]) => `${score[name]} ${words}`);
  const failures = score.failures > 0 ? `, plus ${score.failures} for failures` : "";
  return `${terms.join(" + ") || "no load"}${score.weight === 1 ? "" : `, divided by ${score.weight}`}${failures}`;
}

function Links({ links }) {
  if (!links) return html`<span class="dim">none yet</span>`;
  const { open, idle, limit, others, waiting } = links;
  return html`${number(open)}${limit === null ? "" : ` of ${number(limit)}`}
    <div class="dim">${number(idle)} idle, ${number(others)} of others, ${number(waiting)} wait</div>`;
}

function Port({ port, elapsed }) {
  const { service, address, health, reason, since, share, passed_over, score, links } = port;
  return html`<tr role="row">
    <${Cell} label="Service"><strong>${service}</strong><div class="dim break">${address}</div><//>
    <${Cell} label="Health">
      <${Word} tone=${TONES[health] ?? "warn"}>${health}<//>
      ${since === null ? "" : html` <span class="dim"><${Ago} seconds=${since + elapsed} /></span>`}
      ${reason ? html`<div class="break">${reason}</div>` : ""}
    <//>
    <${Cell} label="Links"><${Links} links=${links} /><//>
    <${Cell} label="Score">
      ${score ? html`<span class="amount">${score.total}</span><div class="dim">${sumOf(score)}</div>` : html`<span class="dim">picked in turn</span>`}
    <//>
    <${Cell} label="Passed over">
      ${passed_over.length > 0 ? passed_over.join("; ") : html`<span class="dim">no</span>`}
      ${share < 100 ? html`<div class="dim">${share} % of its weight counts</div>` : ""}
    <//>
  </tr>`;
}

/** The table of ports. */
export function Ports({ coordinator, elapsed }) {
  const { name, ports } = coordinator;
  if (ports.length === 0) return html`<p class="empty">No listener has used a port of ${name} yet.</p>`;
  return html`<table class="inner" role="table" aria-label="Ports of ${name}">
    <${Head} columns=${["Service", "Health", "Links", "Score", "Passed over"]} />
    <tbody role="rowgroup">${ports.map((port) => html`<${Port} key=${port.service} port=${port} elapsed=${elapsed} />`)}</tbody>
  </table>`;
}
