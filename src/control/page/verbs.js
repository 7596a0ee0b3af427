// What operators can have the router do, by the words that commands and the log have for it.
import { html } from "/page/html.js";
import { isEmpty, left } from "/page/standing.js";

const ofCoordinator = (word) => ({ cluster, name }) => `coordinators/${[cluster, name].map(encodeURIComponent).join("/")}/${word}`;

/** Each with its button, the question, what it means, and what is said when it is done. */
export const VERBS = {
  "rotation in": {
    title: "Put in rotation",
    method: "PUT",
    path: () => "rotation",
    about: () => "Put this router in rotation?",
    tells: () => html`<p><code>/readyz</code> answers 200, and load balancers that ask it send new clients here.</p>`,
    done: () => "This router is in rotation.",
  },
  "rotation out": {
    title: "Take out of rotation",
    method: "DELETE",
    path: () => "rotation",
    about: () => "Take this router out of rotation?",
    tells: () => html`<p><code>/readyz</code> answers 503, and load balancers that ask it send no new clients here.</p>
      <p>Clients that are here go on, and those that come nevertheless are served.</p>`,
    done: () => "This router is out of rotation.",
  },
  "drain": {
    title: "Drain",
    path: ofCoordinator("drain"),
    about: ({ name }) => `Drain ${name}?`,
    tells: (coordinator) => html`<p>
        It gets no new session, and idle sessions leave it if they can.
        ${isEmpty(coordinator) ? " Nothing is open there now." : ` Now it has ${left(coordinator)}.`}
      </p>
      <p>At the deadline, what is open goes on or is cancelled, as <code>drain_then</code> says.</p>`,
    fields: [{
      name: "deadline",
      title: "Deadline, from now",
      placeholder: "30s, 10m or 1h",
      note: html`Leave it empty for the cluster's <code>drain_deadline</code>.`,
    }],
    done: ({ name }) => `${name} gets no new session.`,
  },
  "resume": {
    title: "Resume",
    path: ofCoordinator("resume"),
    about: ({ name }) => `Resume ${name}?`,
    tells: () => html`<p>It gets new sessions again, and its drain ends.</p>`,
    done: ({ name }) => `${name} gets new sessions again.`,
  },
};
