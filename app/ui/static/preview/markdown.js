// Markdown: marked finds its parts, and here they become elements. HTML in it is shown as text.

import { element } from "../dom.js";
import { artifactHref, directoryHref } from "../location.js";
import { artifactUrl, nameOf } from "../paths.js";
import { cutNote, note, stack, withSource } from "./elements.js";
import { unescapeEntities } from "./entities.js";
import { isImage } from "./kinds.js";
import { relativePath, webAddress } from "./places.js";
import { readText, shortened, textBlock } from "./text.js";
import { TookTooLong, worked } from "./workers.js";

const MARKDOWN_BYTES = 256 * 1024;
const SECONDS = 3;
const DEPTH = 24;
const NODES = 20_000;
const COLUMNS = 100;

export async function showMarkdown(source) {
  const head = await readText(source, MARKDOWN_BYTES);
  const rendered = stack(...shortened(head, source), ...(await renderMarkdown([head.text], source)));
  return withSource(rendered, async () => {
    const whole = head.whole ? head : await readText(source);
    return stack(...shortened(whole, source), textBlock(whole.text));
  });
}

/** An element for each text. Their links and images are relative to the artifact that they are from. */
export async function renderMarkdown(texts, source) {
  const found = texts.length > 0 ? await lexed(texts, source.signal) : [];
  const renderer = new Renderer(source.artifact);
  return found.map((tokens, index) => {
    if (tokens === null) {
      return stack(note("This Markdown cannot be laid out; here it is as text."), textBlock(texts[index]));
    }
    return renderer.document(tokens);
  });
}

async function lexed(texts, signal) {
  try {
    const found = await worked("markdown", texts, SECONDS, signal);
    return found.map((tokens) => (tokens === null ? null : JSON.parse(tokens)));
  } catch (error) {
    if (error instanceof TookTooLong) return texts.map(() => null);
    throw error;
  }
}

class Renderer {
  nodes = 0;

  constructor(artifact) {
    this.artifact = artifact;
  }

  document(tokens) {
    const made = element("div", { class: "preview-markdown preview-stack" }, ...this.blocks(tokens, 0));
    if (this.nodes > NODES) made.append(note("The rest is too much for a preview."));
    return made;
  }

  blocks(tokens, depth) {
    return this.#each(tokens, depth, (token) => this.#block(token, depth + 1));
  }

  inlines(tokens, depth) {
    return this.#each(tokens, depth, (token) => this.#inline(token, depth + 1));
  }

  #each(tokens = [], depth, render) {
    if (depth > DEPTH) return [tokens.map((token) => token.raw).join("")];
    const made = [];
    for (const token of tokens) {
      this.nodes += 1;
      if (this.nodes > NODES) break;
      made.push(...render(token));
    }
    return made;
  }

  #block(token, depth) {
    switch (token.type) {
      case "space":
      case "def":
        return [];
      case "heading": {
        // The page's own headings are above these.
        const tag = `h${Math.min(6, token.depth + 2)}`;
        return [element(tag, { class: `preview-h${token.depth}` }, ...this.inlines(token.tokens, depth))];
      }
      case "paragraph":
        return [element("p", {}, ...this.inlines(token.tokens, depth))];
      case "code":
        return [textBlock(token.text)];
      case "hr":
        return [element("hr")];
      case "blockquote":
        return [element("blockquote", {}, ...this.blocks(token.tokens, depth))];
      case "list":
        return [this.#list(token, depth)];
      case "table":
        return [this.#table(token, depth)];
      case "html":
        return [textBlock(token.raw.trimEnd())];
      default:
        return this.#inline(token, depth);
    }
  }

  #inline(token, depth) {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        return [element(token.type, {}, ...this.inlines(token.tokens, depth))];
      case "codespan":
        return [element("code", {}, token.text)];
      case "br":
        return [element("br")];
      case "link":
        return [this.#link(token, depth)];
      case "image":
        return [this.#image(token)];
      case "html":
        return [element("code", {}, token.raw)];
      case "checkbox":
        return [this.#checkbox(token.checked)];
      case "escape":
        return [token.text];
      default:
        return token.tokens ? this.inlines(token.tokens, depth) : [unescapeEntities(token.text ?? token.raw)];
    }
  }

  #list(token, depth) {
    const start = token.ordered && token.start !== 1 ? { start: String(token.start) } : {};
    const list = element(token.ordered ? "ol" : "ul", start);
    for (const item of token.items) {
      this.nodes += 1;
      if (this.nodes > NODES) break;
      const hasBox = item.tokens.some(
        (each) => each.type === "checkbox" || each.tokens?.[0]?.type === "checkbox",
      );
      const box = item.task && !hasBox ? [this.#checkbox(item.checked)] : [];
      list.append(
        element("li", item.task ? { class: "preview-task" } : {}, ...box, ...this.blocks(item.tokens, depth)),
      );
    }
    return list;
  }

  #checkbox(checked) {
    const box = element("input", {
      type: "checkbox",
      disabled: "",
      "aria-label": checked ? "done" : "to do",
    });
    box.checked = checked;
    return box;
  }

  #table(token, depth) {
    const cell = (tag, attributes, { tokens, align }) =>
      element(
        tag,
        { ...attributes, class: align ? `preview-${align}` : undefined },
        ...this.inlines(tokens, depth),
      );
    const head = element(
      "tr",
      {},
      ...token.header.slice(0, COLUMNS).map((each) => cell("th", { scope: "col" }, each)),
    );
    const body = element("tbody");
    for (const row of token.rows) {
      this.nodes += Math.min(COLUMNS, row.length);
      if (this.nodes > NODES) break;
      body.append(element("tr", {}, ...row.slice(0, COLUMNS).map((each) => cell("td", {}, each))));
    }
    const cutAt = cutNote(Math.min(COLUMNS, token.header.length), token.header.length, "columns");
    const made = element("table", { class: "preview-table" }, element("thead", {}, head), body);
    const attributes = { class: "preview-scroll", role: "region", tabindex: "0", "aria-label": "Table" };
    return element("div", {}, ...cutAt, element("div", attributes, made));
  }

  #link(token, depth) {
    const content = this.inlines(token.tokens, depth);
    const web = webAddress(token.href);
    if (web !== null) {
      return element("a", { href: web, rel: "noopener noreferrer", target: "_blank" }, ...content);
    }
    const path = relativePath(token.href, this.artifact.path);
    if (path === null) return element("span", { class: "preview-dead-link" }, ...content);
    const isDirectory = /(^|\/)(\.{1,2})?$/.test(token.href.trim().split(/[?#]/, 1)[0]);
    const href = isDirectory ? directoryHref(path) : artifactHref(path);
    return element("a", { href, rel: "noopener noreferrer" }, ...content);
  }

  #image(token) {
    const text = unescapeEntities(token.text);
    const path = relativePath(token.href, this.artifact.path);
    if (path !== null && isImage(nameOf(path))) {
      return element("img", { alt: text, loading: "lazy", src: artifactUrl(path) });
    }
    const label = text === "" ? "[image]" : `[image: ${text}]`;
    const web = webAddress(token.href);
    if (web === null) return element("span", { class: "preview-dead-link" }, label);
    return element("a", { href: web, rel: "noopener noreferrer", target: "_blank" }, label);
  }
}
