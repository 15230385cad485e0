// HTML in a frame that may run nothing and reach nothing: neither this page, nor the server, nor the web.

import { element } from "../dom.js";
import { note, stack, withSource } from "./elements.js";
import { readText, shortened, textBlock } from "./text.js";

export async function showHtml(source) {
  const { name, url } = source.artifact;
  const frame = element("iframe", {
    class: "preview-frame",
    sandbox: "",
    referrerpolicy: "no-referrer",
    title: `The page ${name}`,
    src: `${url}?view=frame`,
  });
  const hint = note(
    "Scripts of this page do not run here, and nothing is loaded from elsewhere. Download it to see all of it.",
  );
  return withSource(stack(hint, frame), async () => {
    const head = await readText(source);
    return stack(...shortened(head, source), textBlock(head.text));
  });
}
