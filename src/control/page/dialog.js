// The question before something is done.
import { Component, html } from "/page/html.js";
import { act } from "/page/source.js";
import { VERBS } from "/page/verbs.js";

/** A field for a parameter of the verb. */
function Field({ name, title, placeholder, note }) {
  return html`<label>
    ${title}
    <input name=${name} autocomplete="off" placeholder=${placeholder} aria-describedby="note-${name}" />
    <small id="note-${name}">${note}</small>
  </label>`;
}

/** Asks whether to do something, and does it. `to` is what it is done to: a row of the API. */
export class Question extends Component {
  componentDidMount() {
    this.dialog.showModal();
  }

  async answer(event) {
    event.preventDefault();
    const { verb, to, onDone } = this.props;
    const { method = "POST", path, fields = [], done } = VERBS[verb];
    const given = new FormData(event.target);
    const parameters = Object.fromEntries(fields.map(({ name }) => [name, given.get(name).trim()]));
    this.setState({ busy: true, refusal: "" });
    try {
      const answer = await act({ method, path: path(to) }, parameters);
      this.dialog.close();
      onDone(done(answer, to));
    } catch (error) {
      this.setState({ busy: false, refusal: error.name === "TypeError" ? "The router does not answer." : error.message });
    }
  }

  render({ verb, to, onClose }, { busy, refusal }) {
    const { title, about, tells, fields = [] } = VERBS[verb];
    return html`<dialog ref=${(dialog) => (this.dialog = dialog)} aria-labelledby="question" onClose=${onClose}>
      <form onSubmit=${(event) => this.answer(event)}>
        <h2 id="question">${about(to)}</h2>
        ${tells(to)}
        ${fields.map((field) => html`<${Field} key=${field.name} ...${field} />`)}
        <p class="refusal" role="alert">${refusal}</p>
        <div class="buttons">
          <button type="button" onClick=${() => this.dialog.close()}>Back</button>
          <button class="main" disabled=${busy}>${title}</button>
        </div>
      </form>
    </dialog>`;
  }
}
