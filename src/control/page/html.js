// Preact with htm's templates, in one place.
import { Component, h, render } from "/page/preact.mjs";
import htm from "/page/htm.module.js";

export const html = htm.bind(h);
export { Component, render };
