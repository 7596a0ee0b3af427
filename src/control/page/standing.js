// How a coordinator stands: the state that people see, with its reason and since when.
import { count, list } from "/page/words.js";

/** The order in which tones are shown: what needs somebody comes first. */
const TONES = ["bad", "warn", "rest", "good"];

/** What is said of a port that is not healthy. */
const OF_HEALTH = {
  ejected: { tone: "bad", word: "ejected" },
  suspect: { tone: "warn", word: "suspect" },
  probation: { tone: "warn", word: "on probation" },
};

/** Reasons to pass a port over that are shown as states of their own. */
const SHOWN_OTHERWISE = new Set(["draining", "ejected", "ejected by an operator", "quiescing", "its catalog is not ready"]);

/** Whether nothing is left that a drain waits for. */
export function isEmpty({ sessions, open_operations, opens_in_progress }) {
  return sessions + open_operations + opens_in_progress === 0;
}

/** What is left on a coordinator, in words: "2 sessions and 1 open operation". */
export function left({ sessions, open_operations, opens_in_progress, opaque_connections }) {
  const parts = [
    [sessions - opaque_connections, "session"],
    [opaque_connections, "relayed connection"],
    [open_operations, "open operation"],
    [opens_in_progress, "open in progress", "opens in progress"],
  ];
  return list(parts.filter(([value]) => value > 0).map(([value, one, many]) => count(value, one, many)));
}

function ofDrain(coordinator) {
  if (coordinator.state !== "drain") return [];
  const since = coordinator.drain?.since ?? null;
  if (isEmpty(coordinator)) return [{ tone: "rest", word: "drained", why: "nothing is left on it", since }];
  return [{ tone: "warn", word: "draining", why: "", since }];
}

function ofEjection({ ejected_for }) {
  return ejected_for === null ? [] : [{ tone: "warn", word: "ejected", why: "by an operator", since: ejected_for }];
}

/** One state for all ports that say the same. */
function ofPorts(ports) {
  const states = new Map();
  for (const { service, health, reason, since } of ports) {
    const says = OF_HEALTH[health];
    if (!says) continue;
    const key = JSON.stringify([health, reason]);
    const same = states.get(key) ?? { ...says, services: [], reason, since };
    same.services.push(service);
    states.set(key, same);
  }
  return [...states.values()].map(({ services, reason, ...state }) => {
    return { ...state, why: reason ? `${list(services)}: ${reason}` : list(services) };
  });
}

function ofPasses(ports) {
  const reasons = new Map();
  for (const { service, passed_over } of ports) {
    for (const reason of passed_over) {
      if (!SHOWN_OTHERWISE.has(reason)) reasons.set(reason, [...(reasons.get(reason) ?? []), service]);
    }
  }
  return [...reasons].map(([reason, services]) => {
    return { tone: "warn", word: "passed over", why: `${list(services)}: ${reason}`, since: null };
  });
}

/** All that is to be said of a coordinator's state, the worst first; at least one entry. */
export function standing(coordinator) {
  const { ports, quiescing_for, starting_for } = coordinator;
  const states = [...ofPorts(ports), ...ofEjection(coordinator), ...ofDrain(coordinator)];
  if (quiescing_for !== null) {
    states.push({ tone: "warn", word: "shutting down", why: "it says so itself", since: quiescing_for });
  }
  if (starting_for !== null) {
    states.push({ tone: "warn", word: "starting", why: "its catalog is not ready", since: starting_for });
  }
  states.push(...ofPasses(ports));
  if (states.length === 0 && ports.length === 0) {
    states.push({ tone: "rest", word: "not in use", why: "no listener has used one of its ports yet", since: null });
  }
  if (states.length === 0) {
    const since = ports.map((port) => port.since).filter((value) => value !== null);
    states.push({ tone: "good", word: "healthy", why: "", since: since.length > 0 ? Math.min(...since) : null });
  }
  return states.sort((one, other) => TONES.indexOf(one.tone) - TONES.indexOf(other.tone));
}
