// Buttons that copy a text.

import { element } from "./dom.js";
import { icon } from "./icons.js";
import { announce } from "./status.js";

export function copyButton(label, text) {
  const caption = element("span", {}, "Copy");
  const button = element("button", { type: "button", class: "quiet", "aria-label": label }, icon("copy"), caption);
  let again;
  button.addEventListener("click", async () => {
    const copied = await copy(text);
    announce(copied ? "Copied." : "The browser does not let this page copy; select the text instead.");
    caption.textContent = copied ? "Copied" : "Not copied";
    clearTimeout(again);
    again = setTimeout(() => (caption.textContent = "Copy"), 2000);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/* Over plain HTTP browsers have no clipboard for pages but this. */
function copyBySelection(text) {
  const focused = document.activeElement;
  const field = element("textarea", { class: "visually-hidden", readonly: true });
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return copied;
}
