// How to name a place elsewhere: its path, a curl command and a URI for MLflow.

import { copyButton } from "./clipboard.js";
import { element } from "./dom.js";
import { absolute, archiveName, archiveUrl, artifactUrl, mlflowUrl, nameOf } from "./paths.js";

export function artifactReferences(path, session) {
  return references(path, curl(artifactUrl(path), nameOf(path), session));
}

export function directoryReferences(path, session) {
  return references(path, curl(archiveUrl(path, "zip"), archiveName(path, "zip"), session));
}

function references(path, command) {
  return element(
    "dl",
    { class: "references" },
    path !== "" && reference("path", "Path", "Copy path", path),
    reference("curl", "curl", "Copy curl command", command),
    reference("mlflow", "MLflow", "Copy MLflow URI", absolute(mlflowUrl(path))),
  );
}

function reference(kind, term, label, text) {
  return element(
    "div",
    {},
    element("dt", {}, term),
    element("dd", {}, element("code", { "data-reference": kind, dir: "ltr" }, text), copyButton(label, text)),
  );
}

/*
 * What stands between the quotes means the same to every shell, also to those of Windows: the URL has nothing
 * else, and the name of the file is made so. The token itself is not known here, and has no place in the
 * history of a shell.
 */
function curl(url, file, session) {
  const token = session.known ? '-H "Authorization: Bearer $ARTIFACT_PROXY_TOKEN" ' : "";
  const plain = file.replace(/[^\p{L}\p{M}\p{N} _.+=@-]/gu, "_").replace(/^-/, "./-");
  return `curl -fL ${token}-o "${plain}" "${absolute(url)}"`;
}
