// What unpacks the pages of Parquet: nothing writes past the size that a page announces.

import { snappyUncompress } from "../vendor/hyparquet-1.31.5/src/index.js";

const PIECE_BYTES = 16 * 1024;

/** Functions for hyparquet, for the codecs that are known; libraries are loaded for those in use only. */
export async function decompressors(codecs) {
  const needed = new Set(codecs);
  const found = { SNAPPY: snappy };
  if (needed.has("ZSTD")) {
    const { decompress } = await import("../vendor/fzstd-0.1.1/index.mjs");
    found.ZSTD = (data, length) => decompress(data, new Uint8Array(length));
  }
  if (needed.has("GZIP")) {
    const { Gunzip } = await import("../vendor/fflate-0.8.3/browser.js");
    found.GZIP = (data, length) => gunzip(Gunzip, data, length);
  }
  return found;
}

function snappy(data, length) {
  const unpacked = new Uint8Array(length);
  snappyUncompress(data, unpacked);
  return unpacked;
}

function gunzip(Gunzip, data, length) {
  const unpacked = new Uint8Array(length);
  let filled = 0;
  const stream = new Gunzip((piece) => {
    // It would unpack whatever there is: a few bytes can become very many.
    if (filled + piece.length > length) throw new RangeError("a page is longer than it says");
    unpacked.set(piece, filled);
    filled += piece.length;
  });
  for (let start = 0; start < data.length; start += PIECE_BYTES) {
    stream.push(data.subarray(start, start + PIECE_BYTES), start + PIECE_BYTES >= data.length);
  }
  return unpacked.subarray(0, filled);
}
