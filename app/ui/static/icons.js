// Small drawings, on a grid of 20 by 20.

import { svg } from "./dom.js";

const DRAWINGS = {
  folder: "M2.5 5.5A1.5 1.5 0 0 1 4 4h3.6l2 2.2H16a1.5 1.5 0 0 1 1.5 1.5v6.8A1.5 1.5 0 0 1 16 16H4a1.5 1.5 0 0 1-1.5-1.5z",
  file: "M5 2.5h6.5L15.5 6.5V17.5H5zM11.5 2.5V6.5H15.5",
  text: "M5 2.5h6.5L15.5 6.5V17.5H5zM11.5 2.5V6.5H15.5M7.5 10h5.5M7.5 13h5.5",
  table: "M3 4h14v12H3zM3 8h14M3 12h14M8 8v8",
  image: "M3 4h14v12H3zM3.5 14.5 8 10l3 3 2-2 3.5 3.5M13 7.3v.01",
  media: "M3 4h14v12H3zM8.5 7.5v5l4-2.5z",
  model: "M10 2.5 16.5 6v8L10 17.5 3.5 14V6zM3.5 6 10 9.8 16.5 6M10 9.8v7.7",
  archive: "M3 3.5h14v4H3zM4 7.5v9h12v-9M8 10.5h4",
  download: "M10 3v9.5M6 8.8l4 4 4-4M3.5 16.5h13",
  upload: "M10 13V3.5M6 7.2l4-4 4 4M3.5 16.5h13",
  copy: "M7.5 7.5h9v9h-9zM12.5 7.5v-4h-9v9h4",
  trash: "M3.5 5.5h13M8 5.5v-2h4v2M5 5.5l.8 11h8.4l.8-11M8.5 8.5v5M11.5 8.5v5",
  ascending: "M10 15.5v-11M5.5 9 10 4.5 14.5 9",
  descending: "M10 4.5v11M5.5 11 10 15.5 14.5 11",
};

const KINDS = [
  ["image", /\.(png|jpe?g|gif|webp|avif|bmp|svg|tiff?)$/i],
  ["table", /\.(csv|tsv|parquet|arrow|feather|orc|xlsx?)$/i],
  ["media", /\.(mp[34]|m4a|wav|ogg|flac|webm|mov|mkv)$/i],
  ["model", /(^MLmodel|\.(safetensors|pt|pth|ckpt|onnx|pkl|joblib|h5|keras|gguf|npy|npz|bin|pb|tflite))$/i],
  ["archive", /\.(zip|tar|t?gz|bz2|xz|zst|7z|whl|jar)$/i],
  ["text", /\.(txt|md|rst|log|json|jsonl|ya?ml|toml|ini|cfg|xml|html?|py|ipynb|sh|sql|env)$/i],
];

export function icon(name) {
  return svg(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: DRAWINGS[name] }),
  );
}

/** The drawing for an artifact of this name. */
export function fileIcon(name) {
  return icon(KINDS.find(([, names]) => names.test(name))?.[0] ?? "file");
}
