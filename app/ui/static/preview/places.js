// Where the links and images of a document lead: to artifacts near it, or to the web; to nothing else.

const WEB = new Set(["http:", "https:", "mailto:"]);

/** An absolute URL that may be followed, or null. */
export function webAddress(href) {
  try {
    const url = new URL(href.trim());
    return WEB.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** The path that a relative link of the document at `path` names; null for any other link. */
export function relativePath(href, path) {
  const plain = href.trim().split(/[?#]/, 1)[0];
  if (plain === "" || plain.startsWith("/") || plain.includes("\\") || URL.canParse(href.trim())) return null;
  const segments = path.split("/").slice(0, -1);
  for (const encoded of plain.split("/")) {
    const segment = unescaped(encoded);
    if (segment === null || segment.includes("/")) return null;
    if (segment === "..") {
      if (segments.pop() === undefined) return null;
    } else if (segment !== "" && segment !== ".") {
      segments.push(segment);
    }
  }
  return segments.join("/");
}

function unescaped(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
