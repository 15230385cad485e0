// Images, sound and films, which the browser reads by itself: nothing of an image runs, also not of SVG.

import { element } from "../dom.js";
import { bytes, grouped } from "./amounts.js";
import { note, stack, withSource } from "./elements.js";
import { PreviewFailure } from "./failure.js";
import { extensionOf } from "./kinds.js";
import { readText, shortened, textBlock } from "./text.js";

const IMAGE_BYTES = 32 * 1024 * 1024;
// Of pixels alone: what is in the memory of this page, as SVG could be a document of its own rights.
const PIXEL_TYPES = new Map([
  ...["apng", "avif", "bmp", "gif", "jpeg", "png", "webp"].map((extension) => [extension, `image/${extension}`]),
  ["ico", "image/vnd.microsoft.icon"],
  ["jfif", "image/jpeg"],
  ["jpg", "image/jpeg"],
]);

export function showImage(source) {
  return figureOf(source, fromMemory);
}

export async function showSvg(source) {
  const figure = await figureOf(source, fromServer);
  return withSource(figure, async () => {
    const head = await readText(source);
    return stack(...shortened(head, source), textBlock(head.text));
  });
}

export function showAudio(source) {
  return playable("audio", source);
}

export function showVideo(source) {
  return playable("video", source);
}

/** `otherwise` gives another URL for what does not load by its own. */
async function figureOf(source, otherwise) {
  if (source.size > IMAGE_BYTES) {
    throw new PreviewFailure(
      `This image has ${bytes(source.size)}; more than ${bytes(IMAGE_BYTES)} are not shown.`,
    );
  }
  const image = element("img", { class: "preview-image", alt: source.artifact.name });
  if (!(await loads(image, source.artifact.url, source.signal))) {
    // The server may have sent the browser to the store, or have called it something else than an image.
    source.signal?.throwIfAborted();
    if (!(await loads(image, await otherwise(source), source.signal))) {
      source.signal?.throwIfAborted();
      throw new PreviewFailure(
        "The browser cannot show this image: it is damaged, or of a kind that it does not know.",
      );
    }
  }
  const size =
    image.naturalWidth > 0 ? `, ${grouped(image.naturalWidth)} × ${grouped(image.naturalHeight)} pixels` : "";
  return element(
    "figure",
    { class: "preview-figure" },
    image,
    element("figcaption", {}, bytes(source.size) + size),
  );
}

function loads(image, url, signal) {
  return new Promise((resolve) => {
    const settle = (loaded) => () => {
      signal?.removeEventListener("abort", stop);
      resolve(loaded);
    };
    const stop = () => {
      image.removeAttribute("src");
      resolve(false);
    };
    signal?.addEventListener("abort", stop, { once: true });
    image.addEventListener("load", settle(true), { once: true });
    image.addEventListener("error", settle(false), { once: true });
    image.src = url;
  });
}

async function fromMemory(source) {
  const data = await source.head(IMAGE_BYTES);
  const type = PIXEL_TYPES.get(extensionOf(source.artifact.name));
  const url = URL.createObjectURL(new Blob([data], { type }));
  source.signal?.addEventListener("abort", () => URL.revokeObjectURL(url), { once: true });
  return url;
}

// Never by way of the store, and with a policy by which it is harmless wherever it is opened.
function fromServer(source) {
  return `${source.artifact.url}?view=frame`;
}

function playable(tag, source) {
  const { name, url } = source.artifact;
  const player = element(tag, {
    class: "preview-player",
    controls: "",
    preload: "metadata",
    src: url,
    "aria-label": name,
  });
  const figure = element(
    "figure",
    { class: "preview-figure" },
    player,
    element("figcaption", {}, bytes(source.size)),
  );
  player.addEventListener("error", () => {
    figure.append(
      note(
        "The browser cannot play this: it is damaged, or of a kind that it does not know. Download it instead.",
      ),
    );
  });
  source.signal?.addEventListener("abort", () => {
    player.pause();
    player.removeAttribute("src");
    player.load(); // or the download would go on
  });
  return figure;
}
