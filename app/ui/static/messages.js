// What is shown where there is nothing else to show.

import { element } from "./dom.js";

/** What went wrong, in words, with ways to go on. */
export function failure(title, error, ...ways) {
  return element(
    "div",
    { class: "message message-error", role: "alert" },
    element("h1", { class: "message-title", tabindex: "-1" }, title),
    element("p", {}, error.message),
    error.requestId && element("p", { class: "hint" }, "Request ", element("code", {}, error.requestId)),
    element("p", { class: "ways" }, ...ways),
  );
}

export function retryButton(retry) {
  return element("button", { type: "button", click: retry }, "Try again");
}

export function notice(title, ...content) {
  return element("div", { class: "message" }, element("p", { class: "message-title" }, title), ...content);
}
