// What operators can have the router do, by the words that commands and the log have for it.
import { html } from "/page/html.js";
import { isEmpty, left } from "/page/standing.js";
import { count, number } from "/page/words.js";

const below = (...names) => names.map(encodeURIComponent).join("/");
const ofCoordinator = (word) => ({ cluster, name }) => below("coordinators", cluster, name, word);

const TO = {
  name: "to",
  title: "To which coordinator",
  placeholder: "its name",
  note: "Leave it empty for the best one.",
};

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
  "log-level": {
    title: "Log level",
    method: "PUT",
    path: () => "log-level",
    about: () => "Change the level of the log?",
    tells: ({ level, configured }) => html`<p>
      Now the log is written from <code>${level}</code> on. Events are shown here from <code>info</code> on, whatever is written. When
      the router ends, the config file's <code>${configured}</code> holds again.
    </p>`,
    fields: [{ name: "level", title: "Level", placeholder: "info", note: "One of error, warn, info, debug and trace." }],
    done: ({ level }) => `The log is written from ${level} on.`,
  },
  "pause-cluster": {
    title: "Pause cluster",
    path: ({ name }) => below("clusters", name, "pause"),
    about: ({ name }) => `Pause ${name}?`,
    tells: () => html`<p>
        New sessions and statements wait until the cluster is resumed. What is open goes on, so that it can end.
      </p>`,
    fields: [{
      name: "for",
      title: "Resume by itself after",
      placeholder: "15m",
      note: html`Without it, somebody has to resume the cluster, and each waits for <code>queue_timeout</code> at most.`,
    }],
    done: ({ name }) => `New sessions and statements of ${name} wait.`,
  },
  "resume-cluster": {
    title: "Resume cluster",
    path: ({ name }) => below("clusters", name, "resume"),
    about: ({ name }) => `Resume ${name}?`,
    tells: ({ waiting }) => html`<p>New sessions and statements go on${waiting > 0 ? `, with the ${number(waiting)} that wait now` : ""}.</p>`,
    done: ({ name }) => `${name} takes new sessions and statements.`,
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
  "eject": {
    title: "Eject",
    path: ofCoordinator("eject"),
    about: ({ name }) => `Eject ${name}?`,
    tells: (coordinator) => html`<p>
        It gets no new session, whatever probes find, until somebody restores it.
        ${isEmpty(coordinator) ? " Nothing is open there now." : ` What is open there goes on: ${left(coordinator)}.`}
      </p>
      <p>To have idle sessions leave it as well, drain it.</p>`,
    done: ({ name }) => `${name} is ejected.`,
  },
  "restore": {
    title: "Restore",
    path: ofCoordinator("restore"),
    about: ({ name }) => `Restore ${name}?`,
    tells: () => html`<p>It gets its share of new sessions gradually, as <code>slow_start</code> says.</p>`,
    done: ({ name }) => `${name} is ejected no more.`,
  },
  "weight": {
    title: "Weight",
    path: ofCoordinator("weight"),
    about: ({ name }) => `Change the weight of ${name}?`,
    tells: ({ weight }) => html`<p>
      Now it is ${number(weight)}. With twice the weight of another, a coordinator gets twice as many sessions. When the router
      ends, the config file's <code>weight</code> holds again.
    </p>`,
    fields: [{ name: "weight", title: "Weight", placeholder: "1 to 1000", note: "A whole number from 1 to 1000." }],
    done: ({ name, weight }) => `${name} has weight ${number(weight)}.`,
  },
  "move-all": {
    title: "Move all",
    path: ofCoordinator("move-all"),
    about: ({ name }) => `Move all sessions of ${name}?`,
    tells: (coordinator) => html`<p>
        Idle sessions go elsewhere, and their clients notice nothing. Those that have something open stay.
        ${isEmpty(coordinator) ? " Nothing is open there now." : ` Now it has ${left(coordinator)}.`}
      </p>
      <p>New ones still come. To keep them away, drain it.</p>`,
    fields: [TO],
    done: ({ name }) => `Sessions leave ${name}, as far as they can.`,
  },
  "move": {
    title: "Move",
    path: ({ session }) => below("sessions", session, "move"),
    about: () => "Move this session?",
    tells: ({ session, coordinator, pinned }) => html`<p>
        <code>${session}</code> goes from ${coordinator} to another coordinator, and its client notices nothing.
        ${pinned ? ` Now it has to stay: ${pinned}.` : ""}
      </p>`,
    fields: [TO],
    done: ({ coordinator }) => `The session is on ${coordinator} now.`,
  },
  "close": {
    title: "Close",
    path: ({ session }) => below("sessions", session, "close"),
    about: () => "Close this session?",
    tells: ({ session, coordinator, open_operations }) => html`<p>
        <code>${session}</code> ends on ${coordinator}${open_operations > 0 ? `, with ${count(open_operations, "open operation")}` : ""}. Its
        client is told that there is no such session.
      </p>`,
    done: () => "The session is closed.",
  },
  "cut": {
    title: "Cut",
    path: ({ connection }) => below("connections", connection, "cut"),
    about: ({ connection }) => `Cut ${connection}?`,
    tells: ({ connection, client, user }) => html`<p>
        <code>${connection}</code>${client ? ` from ${client}` : ""}${user ? ` of ${user}` : ""} ends at once. Its client sees it
        closed, as by a network that fails, and may connect again.
      </p>
      <p>Sessions of Impala stay open for it meanwhile; others end.</p>`,
    done: ({ connection }) => `${connection} is cut.`,
  },
  "cancel": {
    title: "Cancel",
    path: ({ operation }) => below("operations", operation, "cancel"),
    about: () => "Cancel this operation?",
    tells: ({ operation, coordinator, user }) => html`<p>
        <code>${operation}</code>${user ? ` of ${user}` : ""} runs no longer on ${coordinator}. Its client is told so.
      </p>`,
    done: ({ coordinator }) => `The operation is cancelled on ${coordinator}.`,
  },
};

/** A button for each of these verbs. `name` is what is read out with its title. No component: long tables have many. */
export const buttons = (verbs, to, name, page) =>
  verbs.map((verb) => {
    const { title } = VERBS[verb];
    return html`<button key=${verb} aria-label="${title} ${name}" disabled=${page.isSilent} onClick=${() => page.ask(verb, to)}>
      ${title}
    </button>`;
  });

/** What can be done to a coordinator as it stands. */
export function offered({ state, ejected_for }) {
  return [state === "drain" ? "resume" : "drain", ejected_for === null ? "eject" : "restore", "weight", "move-all"];
}
