// Work that a hostile artifact can make endless is done by workers: the page stays as it is, and gives them up.

import { PreviewFailure } from "./failure.js";

const SCRIPTS = new Map(
  ["markdown", "mlmodel", "parquet", "safetensors"].map((name) => [name, new URL(`./${name}_worker.js`, import.meta.url).href]),
);
// Scripts are loaded only from addresses that a policy vouches for: this one knows no others than these.
const policy = globalThis.trustedTypes?.createPolicy("artifact-proxy-preview", {
  createScriptURL: (name) => SCRIPTS.get(name),
});

export class TookTooLong extends PreviewFailure {}

/** What the worker of that name makes of the message. Throws `TookTooLong`, and what the worker throws. */
export async function worked(name, message, seconds, signal) {
  signal?.throwIfAborted();
  const worker = new Worker(policy ? policy.createScriptURL(name) : SCRIPTS.get(name), { type: "module" });
  const over = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      const late = () => reject(new TookTooLong("This artifact takes too long for a preview."));
      const timer = setTimeout(late, seconds * 1000);
      over.signal.addEventListener("abort", () => clearTimeout(timer));
      signal?.addEventListener("abort", () => reject(signal.reason), { signal: over.signal });
      worker.onerror = () =>
        reject(new PreviewFailure("A part of this page cannot be loaded. Load it again."));
      worker.onmessage = ({ data: { result, problem, isForPeople } }) => {
        if (problem === undefined) resolve(result);
        else reject(isForPeople ? new PreviewFailure(problem) : new Error(problem));
      };
      worker.postMessage(message);
    });
  } finally {
    over.abort();
    worker.terminate();
  }
}
