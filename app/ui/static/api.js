// Requests to the server, and its errors.

import { artifactUrl, directoryUrl } from "./paths.js";

/* Tells the server that a script asks, so that a 401 brings up no prompt of the browser. */
export const SCRIPT_HEADERS = { "X-Requested-With": "XMLHttpRequest" };

const WORDS = {
  0: "The server cannot be reached. Check the connection.",
  401: "You are not signed in.",
  403: "You may not do that.",
  404: "There is no such artifact.",
  413: "It is larger than the server takes.",
  429: "Too many requests at once. Wait a moment.",
  502: "The server's storage, or the server itself, does not answer.",
  503: "The server is busy. Wait a moment.",
  504: "The server's storage is too slow. Wait a moment.",
  507: "There is no room left.",
};

/** An answer that is no success; its message is the server's own where there is one. */
export class Problem extends Error {
  constructor(status, { message, requestId, retryAfter } = {}) {
    super(message || WORDS[status] || `The server answered with status ${status}.`);
    this.status = status;
    this.requestId = requestId ?? null;
    this.retryAfter = retryAfter ?? null;
  }

  /** From the text of a body, and a function that gives headers by name. */
  static from(status, text, header) {
    let body = {};
    try {
      body = JSON.parse(text) ?? {};
    } catch {
      // A reverse proxy's own page: the status has to do.
    }
    return new Problem(status, {
      message: typeof body.message === "string" ? body.message : null,
      requestId: header("X-Request-Id"),
      retryAfter: Number.parseInt(header("Retry-After"), 10) || null,
    });
  }
}

/** `fetch`, but an answer that is no success is thrown as a `Problem`. */
export async function request(url, { headers = {}, ...options } = {}) {
  let response;
  try {
    response = await fetch(url, { cache: "no-cache", ...options, headers: { ...SCRIPT_HEADERS, ...headers } });
  } catch (error) {
    throw error instanceof TypeError ? new Problem(0) : error;
  }
  if (response.ok) return response;
  throw Problem.from(response.status, await response.text(), (name) => response.headers.get(name));
}

/** One page of a directory. */
export async function list(path, { pageToken = null, limit = 1000, recursive = false, signal } = {}) {
  const parameters = { actions: "true", max_results: limit };
  if (recursive) parameters.recursive = "true";
  if (pageToken !== null) parameters.page_token = pageToken;
  return (await request(directoryUrl(path, parameters), { signal })).json();
}

/** What is told of an artifact without its content. */
export async function examine(path, { signal } = {}) {
  const { headers } = await request(artifactUrl(path), { method: "HEAD", signal });
  return {
    size: Number(headers.get("Content-Length")),
    modified: new Date(headers.get("Last-Modified")),
    etag: headers.get("ETag"),
    mediaType: headers.get("Content-Type"),
  };
}

/** Removes an artifact, if it is still the one with this ETag; or a directory with all below it. */
export async function remove(path, { etag = null } = {}) {
  await request(artifactUrl(path), { method: "DELETE", headers: etag ? { "If-Match": etag } : {} });
}

/** Whether the listing or entry allows it; a server that does not tell leaves it to be tried. */
export function allows(subject, action) {
  return subject.actions?.includes(action) ?? true;
}
