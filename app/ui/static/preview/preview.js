// What is in an artifact, shown in the page. Artifacts come from anybody: every module here takes what it reads
// for hostile, makes elements of its own for it, and does a bounded amount of work.

import { cut } from "./amounts.js";
import { note } from "./elements.js";
import { PreviewFailure } from "./failure.js";
import { kindOf } from "./kinds.js";
import { Source } from "./source.js";

/**
 * Fills `container` with a preview of `artifact`, which is `{path, name, size, etag, url}` as the listing has
 * it, with `url` relative to the page and encoded. What a preview keeps going (sound, films, images from memory)
 * ends when `signal` is aborted, also after this is done. Throws an Error whose message is a sentence for people,
 * or AbortError.
 */
export async function preview(artifact, container, signal) {
  const source = new Source(artifact, signal);
  const content = source.size === 0 ? note("This artifact is empty.") : await shown(source);
  signal?.throwIfAborted();
  container.replaceChildren(content);
}

async function shown(source) {
  const { load, show } = kindOf(source.artifact.name);
  const module = await load();
  try {
    return await module[show](source);
  } catch (error) {
    if (error instanceof PreviewFailure || error.name === "AbortError") throw error;
    source.signal?.throwIfAborted();
    const reason = cut(String(error.message), 200);
    throw new PreviewFailure(`This artifact is damaged, or not what its name says (${reason}).`, {
      cause: error,
    });
  }
}
