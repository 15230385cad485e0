// Where one is among the artifacts, as the hash tells it: `#/a/` is a directory, `#/a/b.bin` an artifact.

import { encode, isSafe } from "./paths.js";

/** The place that a hash names, or null where it names none. */
export function placeOf(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  let decoded;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return null;
  }
  const isDirectory = decoded === "" || decoded.endsWith("/");
  const place = {
    path: isDirectory ? decoded.slice(0, -1) : decoded,
    isDirectory,
    pageToken: new URLSearchParams(query).get("page_token"),
  };
  return isSafe(place.path) ? place : null;
}

export function directoryHref(path, pageToken = null) {
  const query = pageToken === null ? "" : `?page_token=${encodeURIComponent(pageToken)}`;
  return `#/${path ? `${encode(path)}/` : ""}${query}`;
}

export function artifactHref(path) {
  return `#/${encode(path)}`;
}
