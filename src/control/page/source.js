// What the router says, and what it is asked to do.

/** How long an answer may take, in milliseconds. */
const PATIENCE = 5000;

/** An answer that is an error; its message is what the router says. */
export class Refusal extends Error {}

async function ask(path, options) {
  const answer = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Refusal((await answer.text()).trim() || `status ${answer.status}`);
  return answer.json();
}

/** The answers of the API to several questions: `asked` has the path of each, by name. */
export async function read(asked) {
  const named = Object.entries(asked).map(async ([name, path]) => [name, await ask(`/api/v1/${path}`)]);
  return Object.fromEntries(await Promise.all(named));
}

/** Drains or resumes a coordinator. `deadline` is a duration such as "30m"; an empty one is not sent. */
export function act(verb, { cluster, name }, deadline) {
  const path = [cluster, name, verb].map(encodeURIComponent).join("/");
  const query = deadline ? `?deadline=${encodeURIComponent(deadline)}` : "";
  return ask(`/api/v1/coordinators/${path}${query}`, { method: "POST", headers: { "X-Hs2router": "1" } });
}
