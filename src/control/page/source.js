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

/** Has the router do something. `path` is below `/api/v1`; `parameters` without a value are not sent. */
export function act({ method, path }, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "");
  const query = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  return ask(`/api/v1/${path}${query}`, { method, headers: { "X-Hs2router": "1" } });
}
