// Small parts that several views are made of.
import { html } from "/page/html.js";
import { number, span, timeOfDay } from "/page/words.js";

/** The shape before a state's word, so that no state is told by its colour alone. */
const SHAPES = { good: "●", warn: "▲", bad: "■", rest: "○" };

/** A state in a word, with its tone. */
export function Word({ tone, children }) {
  return html`<span class="word ${tone}"><span class="shape" aria-hidden="true">${SHAPES[tone]}</span>${children}</span>`;
}

const who = ({ user, acts_as }) => (acts_as ? `${user ?? ""} as ${acts_as}`.trim() : user ?? "not known");

const drawn = (row) => (row.user || row.acts_as ? html`<strong>${who(row)}</strong>` : html`<span class="dim">${who(row)}</span>`);

/** The column that says whose something is. */
export const userColumn = (width) => ({ name: "user", title: "User", width, value: who, text: who, draw: drawn });

/** How long ago something was, with its time of day. `seconds` is its age now. */
export function Ago({ seconds, before = "for " }) {
  const moment = Date.now() - seconds * 1000;
  return html`<time datetime=${new Date(moment).toISOString().slice(0, 19) + "Z"} title="since ${timeOfDay(moment)}"
    >${before}${span(seconds)}</time
  >`;
}

/** A panel for what somebody should do something about. */
export function Notice({ tone, title, children }) {
  return html`<section class="notice ${tone}" aria-label=${title}>
    <h2><${Word} tone=${tone}>${title}<//></h2>
    ${children}
  </section>`;
}

/** A cell of a table, which names its column where the table is narrow. */
export function Cell({ label, kind = "", children }) {
  return html`<td role="cell" class=${kind} data-label=${label}><div>${children}</div></td>`;
}

/** The head of a table. A column is its title, or an object with a class, too. */
export function Head({ columns }) {
  const cells = columns.map((column) => {
    const { title, kind } = typeof column === "string" ? { title: column, kind: "" } : column;
    return html`<th role="columnheader" scope="col" class=${kind}>${title}</th>`;
  });
  return html`<thead role="rowgroup"><tr role="row">${cells}</tr></thead>`;
}

/** Two amounts beside each other on one scale. It repeats what the figures say, so it is not read out. */
export function Bar({ own, others = 0, most, tone = "" }) {
  const part = (value) => ({ width: `${most > 0 ? Math.min(100, (value / most) * 100) : 0}%` });
  return html`<div class="bar ${tone}" aria-hidden="true">
    <div class="own" style=${part(own)}></div>
    <div class="others" style=${part(others)}></div>
  </div>`;
}

/** A number with a name, for the row of totals. */
export function Total({ name, value, note }) {
  return html`<div class="total">
    <dt>${name}</dt>
    <dd>${typeof value === "number" ? number(value) : value}${note ? html` <small>${note}</small>` : ""}</dd>
  </div>`;
}

const TONE_OF_STANDING = { "valid": "good", "expires soon": "warn", "expired": "bad", "not yet valid": "bad" };

/** A certificate: how it stands, how long it lasts, for which names it is. */
export function Certificate({ certificate, elapsed }) {
  const { names, issuer, standing, expires_in } = certificate;
  const left = expires_in - elapsed;
  return html`<div class="certificate">
    <${Word} tone=${TONE_OF_STANDING[standing] ?? "warn"}>${standing}<//>
    ${" "}<span class="dim">${left < 0 ? `expired ${span(-left)} ago` : `expires in ${span(left)}`}</span>
    ${certificate.default ? html` <span class="tag">default</span>` : ""}
    <div class="break">${names.join(", ")}</div>
    <div class="dim break">issued by ${issuer}</div>
  </div>`;
}

/** Files that cannot be used as they are now. */
export function Failure({ files, elapsed }) {
  if (!files?.failure) return "";
  const { reason, since } = files.failure;
  return html`<div class="failure">
    <${Word} tone="bad">not loaded<//> <span class="dim"><${Ago} seconds=${since + elapsed} /></span>
    <div class="break">${reason}</div>
    <div class="dim">What was loaded before is still in use.</div>
  </div>`;
}
