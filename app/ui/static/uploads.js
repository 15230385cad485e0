// The uploads: three at a time, each of which may wait, be asked about, fail, and be tried again.
//
// States of an upload: queued -> sending -> done; from sending also busy (the server asks to come again),
// exists (may it be replaced?) and failed; and cancelled or skipped by whoever looks on.

import { artifactUrl } from "./paths.js";
import { put } from "./put.js";

const AT_ONCE = 3;
const TRIES_WHILE_BUSY = 6;
const LONGEST_PAUSE = 30;
const FINAL = new Set(["done", "cancelled", "skipped"]);
const UNDER_WAY = ["queued", "sending", "busy"];

class Upload {
  state = "queued";
  sent = 0;
  message = "";
  replace = false;
  tries = 0;

  constructor(path, file) {
    this.path = path;
    this.file = file;
  }

  get finished() {
    return FINAL.has(this.state);
  }
}

/**
 * Tells "change" whenever anything about an upload changes, and "rest" once none goes on by itself.
 *
 * There may be a hundred thousand of them: what one of them becomes takes no look at the others.
 */
export class Uploads extends EventTarget {
  all = [];
  #active = false;
  #counts = new Map();
  #queue = new Set();

  /** `files`: pairs of the path of an artifact and the file to store there. What is over by then is forgotten. */
  add(files) {
    if (!this.underWay) this.#keep(this.in("exists", "failed"));
    for (const { path, file } of files) {
      const upload = new Upload(path, file);
      this.all.push(upload);
      this.#enter(upload);
    }
    this.#advance();
  }

  in(...states) {
    return this.all.filter(({ state }) => states.includes(state));
  }

  /** How many are in one of these states. */
  count(...states) {
    return states.reduce((sum, state) => sum + (this.#counts.get(state) ?? 0), 0);
  }

  /** Whether any goes on without being told to. */
  get underWay() {
    return this.count(...UNDER_WAY) > 0;
  }

  cancel(uploads) {
    for (const upload of uploads.filter(({ finished }) => !finished)) {
      this.#become(upload, "cancelled");
      upload.abort?.abort();
    }
    this.#advance();
  }

  retry(uploads) {
    for (const upload of uploads) {
      upload.tries = 0;
      this.#become(upload, "queued");
    }
    this.#advance();
  }

  replace(uploads) {
    for (const upload of uploads) upload.replace = true;
    this.retry(uploads);
  }

  skip(uploads) {
    for (const upload of uploads) this.#become(upload, "skipped");
    this.#advance();
  }

  /** Forgets all of them. */
  clear() {
    this.cancel(this.all);
    this.#keep([]);
    this.#changed();
  }

  #keep(uploads) {
    this.all = uploads;
    this.#counts.clear();
    for (const upload of uploads) this.#enter(upload);
  }

  /* Counts it as what it is now. */
  #enter(upload) {
    this.#counts.set(upload.state, this.count(upload.state) + 1);
    if (upload.state === "queued") this.#queue.add(upload);
    else this.#queue.delete(upload);
  }

  #advance() {
    let free = AT_ONCE - this.count("sending");
    for (const upload of this.#queue) {
      if (free <= 0) break;
      free -= 1;
      this.#send(upload);
    }
    this.#changed();
    const rested = !this.#active;
    this.#active = this.underWay;
    if (!rested && !this.#active) this.dispatchEvent(new Event("rest"));
  }

  async #send(upload) {
    upload.abort = new AbortController();
    upload.sent = 0;
    this.#become(upload, "sending");
    try {
      await put(artifactUrl(upload.path), upload.file, {
        create: !upload.replace,
        signal: upload.abort.signal,
        progress: (sent) => {
          upload.sent = sent;
          this.#changed();
        },
      });
      upload.sent = upload.file.size;
      this.#become(upload, "done");
    } catch (error) {
      if (upload.state === "sending") this.#fail(upload, error);
    }
    this.#advance();
  }

  #fail(upload, error) {
    upload.sent = 0;
    if (error.status === 412 && !upload.replace) return this.#become(upload, "exists");
    if ((error.status === 429 || error.status === 503) && upload.tries < TRIES_WHILE_BUSY) {
      upload.tries += 1;
      return this.#pause(upload, Math.min(error.retryAfter ?? 5, LONGEST_PAUSE));
    }
    this.#become(upload, "failed", error.message);
    if (error.status === 401) this.dispatchEvent(new Event("unknown"));
  }

  #pause(upload, seconds) {
    this.#become(upload, "busy", `The server is busy; again in ${seconds} s.`);
    setTimeout(() => {
      if (upload.state !== "busy") return;
      this.#become(upload, "queued");
      this.#advance();
    }, seconds * 1000);
  }

  #become(upload, state, message = "") {
    this.#counts.set(upload.state, this.count(upload.state) - 1);
    upload.state = state;
    upload.message = message;
    this.#enter(upload);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
