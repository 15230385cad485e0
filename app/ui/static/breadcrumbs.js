// The way from the root to where one is.

import { element } from "./dom.js";
import { directoryHref } from "./location.js";
import { named } from "./names.js";

const nav = document.getElementById("breadcrumbs");

export function showBreadcrumbs({ path }) {
  const segments = path === "" ? [] : path.split("/");
  const crumbs = segments.map((segment, depth) => [named(segment), segments.slice(0, depth + 1).join("/")]);
  crumbs.unshift(["Artifacts", ""]);
  nav.replaceChildren(
    element(
      "ol",
      {},
      crumbs.map(([label, target], index) =>
        element(
          "li",
          {},
          index === crumbs.length - 1
            ? element("span", { "aria-current": "page" }, label)
            : element("a", { href: directoryHref(target) }, label),
        ),
      ),
    ),
  );
}
