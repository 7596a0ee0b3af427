// The question before something is done.
import { Component, html } from "/page/html.js";
import { act } from "/page/source.js";
import { isEmpty, left } from "/page/standing.js";

const VERBS = {
  drain: {
    title: "Drain",
    tells: (coordinator) => html`<p>
        It gets no new session, and idle sessions leave it if they can.
        ${isEmpty(coordinator) ? " Nothing is open there now." : ` Now it has ${left(coordinator)}.`}
      </p>
      <p>At the deadline, what is open goes on or is cancelled, as <code>drain_then</code> says.</p>`,
    done: (name) => `${name} gets no new session.`,
  },
  resume: {
    title: "Resume",
    tells: () => html`<p>It gets new sessions again, and its drain ends.</p>`,
    done: (name) => `${name} gets new sessions again.`,
  },
};

/** Asks whether to drain or resume a coordinator, and does it. */
export class Question extends Component {
  componentDidMount() {
    this.dialog.showModal();
  }

  async answer(event) {
    event.preventDefault();
    const { verb, coordinator, onDone } = this.props;
    const deadline = new FormData(event.target).get("deadline")?.trim() ?? "";
    this.setState({ busy: true, refusal: "" });
    try {
      await act(verb, coordinator, deadline);
      this.dialog.close();
      onDone(VERBS[verb].done(coordinator.name));
    } catch (error) {
      this.setState({ busy: false, refusal: error.name === "TypeError" ? "The router does not answer." : error.message });
    }
  }

  render({ verb, coordinator, onClose }, { busy, refusal }) {
    const { title, tells } = VERBS[verb];
    return html`<dialog ref=${(dialog) => (this.dialog = dialog)} aria-labelledby="question" onClose=${onClose}>
      <form onSubmit=${(event) => this.answer(event)}>
        <h2 id="question">${title} ${coordinator.name}?</h2>
        ${tells(coordinator)}
        ${verb === "drain" &&
        html`<label>
          Deadline, from now
          <input name="deadline" autocomplete="off" placeholder="30s, 10m or 1h" aria-describedby="deadline-note" />
          <small id="deadline-note">Leave it empty for the cluster's <code>drain_deadline</code>.</small>
        </label>`}
        <p class="refusal" role="alert">${refusal}</p>
        <div class="buttons">
          <button type="button" onClick=${() => this.dialog.close()}>Cancel</button>
          <button class="main" disabled=${busy}>${title}</button>
        </div>
      </form>
    </dialog>`;
  }
}
