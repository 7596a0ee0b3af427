// Long tables: searched, sorted, and drawn only as far as they are in sight. What is searched and how it is sorted stands
// in the address, so that a reload and a link show the same.
import { Component, html } from "/page/html.js";
import { count, number } from "/page/words.js";

/** The most rows that are asked for. */
export const MOST_ROWS = 5000;

/** The longest filter, in characters: as bytes still less than the API takes. */
const LONGEST_FILTER = 60;

/** The height of a row in pixels, as page.css has it: of a line, and of a card where the window is narrow. */
const HEIGHTS = { line: 36, card: 284 };

/** Rows that are drawn above and below those in sight. */
const SPARE = 8;

const texts = new Intl.Collator("en", { numeric: true });
const narrow = matchMedia("(max-width: 860px)");

/** What is searched, and how it is sorted: a column, and whether the most comes first. */
export function choice(params, usual) {
  const sort = params.get("sort") ?? usual;
  return {
    filter: (params.get("filter") ?? "").slice(0, LONGEST_FILTER),
    column: sort.replace(/^-/, ""),
    falls: sort.startsWith("-"),
  };
}

/** The path that asks for rows by this choice. `orders` are those that the API sorts by, the most first. */
export function ask(list, { filter, column, falls }, orders) {
  const query = new URLSearchParams({ limit: MOST_ROWS });
  if (filter) query.set("filter", filter);
  if (falls && orders.includes(column)) query.set("sort", column);
  return `${list}?${query}`;
}

function sorted(rows, columns, { column, falls }) {
  const by = columns.find(({ name }) => name === column) ?? columns[0];
  const value = by.value ?? ((row) => row[by.name] ?? "");
  const compared = (one, other) => (typeof one === "number" ? one - other : texts.compare(one, other));
  const direction = falls ? -1 : 1;
  return [...rows].sort((one, other) => direction * compared(value(one), value(other)));
}

/** The address with another choice. */
function changed(view, { filter, column, falls }, change) {
  const next = { filter, column, falls, ...change };
  const query = new URLSearchParams();
  if (next.filter) query.set("filter", next.filter);
  query.set("sort", `${next.falls ? "-" : ""}${next.column}`);
  return `#/${view}?${query}`;
}

function Heading({ column, view, chosen }) {
  if (column.kind === "action") {
    return html`<th role="columnheader" scope="col" class="action" style=${{ width: column.width }}>${column.title}</th>`;
  }
  const isChosen = column.name === chosen.column;
  // Figures begin with the most, texts with A.
  const falls = isChosen ? !chosen.falls : column.kind === "figure";
  const sort = isChosen ? (chosen.falls ? "descending" : "ascending") : undefined;
  return html`<th role="columnheader" scope="col" class=${column.kind ?? ""} style=${{ width: column.width }} aria-sort=${sort}>
    <a href=${changed(view, chosen, { column: column.name, falls })}>
      ${column.title}<span aria-hidden="true">${isChosen ? (chosen.falls ? " ↓" : " ↑") : ""}</span>
    </a>
  </th>`;
}

/** A search field with the number of rows. */
function Search({ view, chosen, shown, matching, total, what }) {
  const search = (event) => {
    // The browser's history has no entry for every letter.
    history.replaceState(null, "", changed(view, chosen, { filter: event.target.value }));
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const some = shown < matching ? `the first ${number(shown)} of ` : "";
  return html`<div class="search">
    <label>
      <span class="hidden">Search ${what}</span>
      <input type="search" maxlength=${LONGEST_FILTER} value=${chosen.filter} placeholder="User, address, coordinator, id …" onInput=${search} />
    </label>
    <p class="dim">
      ${some}${count(matching, what.slice(0, -1))}${matching < total ? ` that match, of ${number(total)}` : ""}
    </p>
  </div>`;
}

/** A table of which only what is in sight is drawn. A column has a name, a title, a width and how a row's
 * cell is drawn. Widths are given, or columns would move with what is in sight. */
class Window extends Component {
  state = { first: 0, inSight: 24 };

  componentDidMount() {
    this.observer = new ResizeObserver(() => this.look());
    this.observer.observe(this.box);
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  /** Draws other rows, if others are in sight: some at a time, so that most movements draw none. */
  look() {
    const each = narrow.matches ? HEIGHTS.card : HEIGHTS.line;
    const first = Math.floor(this.box.scrollTop / each / SPARE) * SPARE;
    const inSight = Math.ceil(this.box.clientHeight / each) + SPARE;
    if (first !== this.state.first || inSight !== this.state.inSight) this.setState({ first, inSight });
  }

  render({ rows, columns, view, chosen, what }, { first, inSight }) {
    const each = narrow.matches ? HEIGHTS.card : HEIGHTS.line;
    const begin = Math.max(0, Math.min(first, rows.length - inSight) - SPARE);
    const end = Math.min(rows.length, first + inSight + SPARE);
    const space = (from, to) => html`<tr aria-hidden="true" class="space" style=${{ height: `${(to - from) * each}px` }}></tr>`;
    return html`<div class="window" tabindex="0" role="region" aria-label="Table of ${what}" ref=${(box) => (this.box = box)} onScroll=${() => this.look()}>
      <table class="rows long ${view}" role="table" aria-label=${what} aria-rowcount=${rows.length + 1}>
        <thead role="rowgroup">
          <tr role="row" aria-rowindex="1">
            ${columns.map((column) => html`<${Heading} key=${column.name} column=${column} view=${view} chosen=${chosen} />`)}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${begin > 0 ? space(0, begin) : ""}
          ${rows.slice(begin, end).map(
            (row, place) => html`<tr role="row" key=${row.key} aria-rowindex=${begin + place + 2}>
              ${columns.map(
                ({ name, title, kind, draw, text }) => html`<td role="cell" key=${name} class=${kind ?? ""} data-label=${title} title=${text ? text(row) : row[name]}>
                  <div>${draw ? draw(row) : row[name] ?? html`<span class="dim">–</span>`}</div>
                </td>`,
              )}
            </tr>`,
          )}
          ${end < rows.length ? space(end, rows.length) : ""}
        </tbody>
      </table>
    </div>`;
  }
}

/** A view of rows. `none` is said if there is no row at all. */
export function Rows({ view, rows, columns, chosen, matching, total, what, none }) {
  return html`<section class="card" aria-label=${what}>
    <${Search} view=${view} chosen=${chosen} shown=${rows.length} matching=${matching} total=${total} what=${what} />
    ${total === 0 ? html`<p class="empty">${none}</p>` : ""}
    ${total > 0 && matching === 0
      ? html`<p class="empty">None of ${number(total)} matches. Each word must be in one of a row's texts.</p>`
      : ""}
    ${rows.length > 0 ? html`<${Window} rows=${sorted(rows, columns, chosen)} columns=${columns} view=${view} chosen=${chosen} what=${what} />` : ""}
  </section>`;
}
