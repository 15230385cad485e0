// What an artifact is, by its name, and which module shows it.

const IMAGES = "apng avif bmp gif ico jfif jpeg jpg png webp";
const TEXTS =
  "bash bat c cc cf cfg cmd cnf conf cpp cs css diff dot env err gitignore go gv h hocon hpp ini java jl js jsx kt " +
  "lock log lua mjs mlproject patch php pl prop properties proto ps1 py py3 pyi pyx r rb rs rst scala sh sql " +
  "swift tex toml ts tsx txt xml xsd yaml yml zsh";
const NAMES = "Dockerfile LICENSE MLproject Makefile NOTICE README";

const by = (loader, show) => ({ load: loader, show });
const image = by(() => import("./media.js"), "showImage");
const svg = by(() => import("./media.js"), "showSvg");
const audio = by(() => import("./media.js"), "showAudio");
const video = by(() => import("./media.js"), "showVideo");
const text = by(() => import("./text.js"), "showText");
const unknown = by(() => import("./binary.js"), "showUnknown");

const EXTENSIONS = new Map([
  ...IMAGES.split(" ").map((extension) => [extension, image]),
  ...TEXTS.split(" ").map((extension) => [extension, text]),
  ...["aac", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav"].map((extension) => [extension, audio]),
  ...["m4v", "mkv", "mov", "mp4", "ogv", "webm"].map((extension) => [extension, video]),
  ["svg", svg],
  ...["htm", "html"].map((extension) => [extension, by(() => import("./html.js"), "showHtml")]),
  ...["md", "markdown"].map((extension) => [extension, by(() => import("./markdown.js"), "showMarkdown")]),
  ...["json", "geojson"].map((extension) => [extension, by(() => import("./json.js"), "showJson")]),
  ...["jsonl", "ndjson"].map((extension) => [extension, by(() => import("./json.js"), "showJsonLines")]),
  ["ipynb", by(() => import("./notebook.js"), "showNotebook")],
  ...["csv", "tsv"].map((extension) => [extension, by(() => import("./delimited.js"), "showDelimited")]),
  ...["parquet", "pq"].map((extension) => [extension, by(() => import("./parquet.js"), "showParquet")]),
  ["safetensors", by(() => import("./safetensors.js"), "showSafetensors")],
  ["npy", by(() => import("./numpy.js"), "showArray")],
  ["npz", by(() => import("./npz.js"), "showArchiveOfArrays")],
]);
const WHOLE_NAMES = new Map([
  ...NAMES.split(" ").map((name) => [name, text]),
  ["MLmodel", by(() => import("./mlmodel.js"), "showModel")],
]);

export function kindOf(name) {
  return WHOLE_NAMES.get(name) ?? EXTENSIONS.get(extensionOf(name)) ?? unknown;
}

export function isImage(name) {
  const kind = EXTENSIONS.get(extensionOf(name));
  return kind === image || kind === svg;
}

export function extensionOf(name) {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? "" : name.slice(dot + 1).toLowerCase();
}
