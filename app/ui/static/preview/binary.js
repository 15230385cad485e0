// What nobody can show: its first bytes. Also texts without a known name, which are found out here.

import { grouped } from "./amounts.js";
import { code, note, stack } from "./elements.js";
import { isText, showText } from "./text.js";

const PROBE_BYTES = 4096;
const DUMPED_BYTES = 256;
const ROW_BYTES = 16;

export async function showUnknown(source) {
  const data = await source.head(PROBE_BYTES);
  if (isText(data, data.length === source.size)) return showText(source);
  return showBytes(source);
}

async function showBytes(source) {
  const data = await source.head(DUMPED_BYTES);
  const label =
    data.length < source.size ? `The first ${data.length} of ${grouped(source.size)} bytes:` : "Its bytes:";
  return stack(note(`No preview. ${label}`), code(hexdump(data)));
}

function hexdump(data) {
  const rows = [];
  for (let start = 0; start < data.length; start += ROW_BYTES) {
    const row = [...data.subarray(start, start + ROW_BYTES)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${start.toString(16).padStart(8, "0")}  ${hex.padEnd(3 * ROW_BYTES - 1)}  ${ascii}`);
  }
  return rows.join("\n");
}
