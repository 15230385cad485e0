// Elements without markup: nothing here is ever parsed as HTML, so no name or content can become code.

/**
 * An element with attributes, listeners and children.
 *
 * A function among the attributes is a listener for the event of that name; true is an attribute
 * without value; false, null and undefined are left out, among the children too.
 */
export function element(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Text for those alone who do not see the page. */
export function unseen(text) {
  return element("span", { class: "visually-hidden" }, text);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== false && child != null));
  return node;
}
