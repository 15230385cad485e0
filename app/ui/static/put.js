// Sending one file, with its progress. `fetch` cannot tell how much of a body was sent.

import { Problem, SCRIPT_HEADERS } from "./api.js";

/** Stores `file`; with `create`, a `Problem` with status 412 where there is something already. */
export function put(url, file, { create, signal, progress }) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const exchange = new XMLHttpRequest();
  exchange.open("PUT", url);
  for (const [name, value] of Object.entries(SCRIPT_HEADERS)) exchange.setRequestHeader(name, value);
  if (create) exchange.setRequestHeader("If-None-Match", "*");
  exchange.upload.addEventListener("progress", (event) => progress(event.loaded));
  exchange.addEventListener("load", () => {
    if (exchange.status >= 200 && exchange.status < 300) resolve();
    else reject(Problem.from(exchange.status, exchange.responseText, (name) => exchange.getResponseHeader(name)));
  });
  exchange.addEventListener("error", () => {
    reject(new Problem(0, { message: "The connection broke, or the file could not be read." }));
  });
  exchange.addEventListener("abort", () => reject(signal.reason));
  signal.addEventListener("abort", () => exchange.abort());
  exchange.send(file);
  return promise;
}
