// The bytes of an artifact, read by ranges: all from one version of it, and no more than is asked for.

import { SCRIPT_HEADERS } from "../api.js";
import { PreviewFailure } from "./failure.js";

// So little is read at once, whatever the kind: one request instead of several.
const WHOLE_BYTES = 256 * 1024;
const SENTENCES = new Map([
  [401, "You are not signed in any more. Sign in again."],
  [403, "You may list this artifact, but not read it."],
  [404, "This artifact is not there any more."],
  [412, "This artifact was replaced since the list was read. Reload the list."],
  [416, "This artifact was replaced since the list was read. Reload the list."],
]);

export class Source {
  #kept = { start: 0, end: 0, data: null };

  constructor(artifact, signal) {
    this.artifact = artifact;
    this.size = artifact.size ?? 0;
    this.signal = signal;
  }

  /** At most the first `limit` bytes. */
  head(limit) {
    return this.read(0, Math.min(limit, this.size));
  }

  /** Exactly the bytes from `start` up to `end`. */
  async read(start, end) {
    this.signal?.throwIfAborted();
    if (!(Number.isSafeInteger(start) && start >= 0 && start <= end && end <= this.size)) {
      throw new PreviewFailure(
        "This artifact is damaged or incomplete: it points to bytes that are not there.",
      );
    }
    if (start === end) return new Uint8Array();
    if (this.size <= WHOLE_BYTES && this.#kept.data === null) this.keep(0, this.size);
    const kept = this.#kept;
    if (start < kept.start || end > kept.end) return this.#fetched(start, end);
    return (await kept.data).subarray(start - kept.start, end - kept.start);
  }

  /** Reads from `start` up to `end` at once, as most of it will be asked for piece by piece. */
  keep(start, end) {
    const data = this.#fetched(start, end);
    data.catch(() => {}); // told to whoever asks for a piece
    this.#kept = { start, end, data };
  }

  async #fetched(start, end) {
    const { url, etag } = this.artifact;
    const headers = { ...SCRIPT_HEADERS, Range: `bytes=${start}-${end - 1}` };
    if (etag?.startsWith('"')) headers["If-Match"] = etag;
    const response = await this.#answered(url, headers);
    if (response.status === 200 && start > 0) {
      await response.body?.cancel();
      throw new PreviewFailure(
        "A part of this artifact was asked for, and something on the way sent all of it.",
      );
    }
    const data = await this.#received(response, end - start);
    if (data.length < end - start) {
      throw new PreviewFailure("The connection broke off, or the artifact is shorter than its size says.");
    }
    return data;
  }

  async #answered(url, headers) {
    let response;
    try {
      response = await fetch(url, { headers, signal: this.signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new PreviewFailure("The server cannot be reached. Try again later.", { cause: error });
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw new PreviewFailure(
      SENTENCES.get(response.status) ?? `The server answered ${response.status}. Try again later.`,
    );
  }

  // By pieces, so that of an answer that is too long no more is taken than was asked for.
  async #received(response, length) {
    const data = new Uint8Array(length);
    const reader = response.body.getReader();
    let filled = 0;
    try {
      // Up to its end, where it is as long as asked for: a connection that is broken off is not used again.
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const piece = value.subarray(0, length - filled);
        data.set(piece, filled);
        filled += piece.length;
        if (piece.length < value.length) {
          await reader.cancel();
          break;
        }
      }
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new PreviewFailure("The connection broke off. Try again.", { cause: error });
    }
    return data.subarray(0, filled);
  }
}
