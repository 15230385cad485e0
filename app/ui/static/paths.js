// Paths of artifacts, and where the server has them. The root is ""; no path ends with a slash.

export function join(directory, name) {
  return directory ? `${directory}/${name}` : name;
}

export function nameOf(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function parentOf(path) {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}

/** Whether a URL with this path stays below the artifacts: a browser takes dots away before it asks. */
export function isSafe(path) {
  return path === "" || path.split("/").every((segment) => !["", ".", ".."].includes(segment));
}

/** The path for a URL, each segment encoded by itself. Throws for one that would leave its place. */
export function encode(path) {
  if (!isSafe(path)) throw new Error(`The path ${JSON.stringify(path)} has an empty segment, or dots for one.`);
  return path.split("/").map(encodeSegment).join("/");
}

/* Also what means something to a shell or in a program, where a URL may be pasted. */
function encodeSegment(segment) {
  const escaped = (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(segment).replace(/[!'()*]/g, escaped);
}

/* All URLs are relative to the page, so that they hold wherever a reverse proxy shows it. */

export function artifactUrl(path) {
  return `v1/artifacts/${encode(path)}`;
}

export function directoryUrl(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return `v1/artifacts/${path ? `${encode(path)}/` : ""}${query ? `?${query}` : ""}`;
}

export function archiveUrl(path, format) {
  return directoryUrl(path, { archive: format });
}

export function archiveName(path, format) {
  return `${nameOf(path) || "artifacts"}.${format}`;
}

export function mlflowUrl(path) {
  return `api/2.0/mlflow-artifacts/artifacts/${encode(path)}`;
}

/** The URL with scheme and host, for use elsewhere. */
export function absolute(url) {
  return new URL(url, document.baseURI).href;
}
