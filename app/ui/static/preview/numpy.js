// The header of a NumPy array. Its values are not read, and pickled objects never.

import { bytes, grouped } from "./amounts.js";
import { cutNote, facts, note, stack, table } from "./elements.js";
import { PreviewFailure } from "./failure.js";
import { parseLiteral } from "./python_literal.js";

// NumPy itself reads no headers of more than 10,000 bytes from files that it does not trust.
export const HEADER_BYTES = 10_012;
const FIELDS = 200;
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const TYPES = new Map([
  ["b", "bool"],
  ["i", "int"],
  ["u", "uint"],
  ["f", "float"],
  ["c", "complex"],
  ["S", "bytes"],
  ["U", "text"],
  ["V", "raw bytes"],
  ["O", "Python objects"],
  ["M", "datetime64"],
  ["m", "timedelta64"],
]);
const ORDERS = new Map([
  ["<", ", little-endian"],
  [">", ", big-endian"],
]);

export async function showArray(source) {
  const header = parseHeader(await source.head(HEADER_BYTES));
  const { fields } = header;
  return stack(
    facts([
      ["Type", header.type],
      ["Shape", header.shape],
      ["Order", header.order],
      ["Elements", grouped(header.elements)],
      ["Data", bytes(Math.max(0, source.size - header.dataOffset))],
      ["Format", header.version],
    ]),
    ...(header.isPickled
      ? [note("This array holds pickled Python objects: to load it runs code. Load it only if you trust it.")]
      : []),
    ...(fields.length > 0
      ? [table("Fields", ["Name", "Type", "Shape"], fields.slice(0, FIELDS), { rowHeaders: true })]
      : []),
    ...cutNote(Math.min(FIELDS, fields.length), fields.length, "fields"),
  );
}

/** What the first bytes of an array file tell of it. */
export function parseHeader(data) {
  const damaged = new PreviewFailure("This is no NumPy array, or its header is damaged or very long.");
  if (data.length < 12 || MAGIC.some((byte, index) => data[index] !== byte)) throw damaged;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const major = data[6];
  const start = major === 1 ? 10 : 12;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (major < 1 || major > 3 || start + length > data.length) throw damaged;
  const text = new TextDecoder(major === 3 ? "utf-8" : "latin1").decode(data.subarray(start, start + length));
  let header;
  try {
    header = parseLiteral(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw damaged;
    throw error;
  }
  const shape = header instanceof Map ? header.get("shape") : null;
  const isShape = Array.isArray(shape) && shape.every((each) => Number.isSafeInteger(each) && each >= 0);
  const descr = isShape ? header.get("descr") : undefined;
  const isFields = Array.isArray(descr) && descr.every((field) => Array.isArray(field) && field.length >= 2);
  if (!(isFields || typeof descr === "string") || typeof header.get("fortran_order") !== "boolean")
    throw damaged;
  return {
    type: typeName(descr),
    shape: shapeText(shape),
    order: header.get("fortran_order") ? "Fortran (columns first)" : "C (rows first)",
    elements: shape.reduce((product, each) => product * BigInt(each), 1n),
    fields: isFields
      ? descr.map(([name, type, inner]) => [fieldName(name), typeName(type), inner ? shapeText(inner) : ""])
      : [],
    isPickled: JSON.stringify(descr).includes('"|O'),
    version: `${major}.${data[7]}`,
    dataOffset: start + length,
  };
}

function shapeText(shape) {
  if (!Array.isArray(shape)) return String(shape);
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

// A field may have a title beside its name.
function fieldName(name) {
  return Array.isArray(name) ? name.join(" / ") : String(name);
}

function typeName(descr) {
  if (typeof descr !== "string") return Array.isArray(descr) ? `structure of ${descr.length} fields` : "?";
  const [, order, kind, size, unit] = /^([<>|=]?)([A-Za-z])(\d*)(\[.*\])?$/.exec(descr) ?? [];
  const name = TYPES.get(kind);
  if (name === undefined) return descr;
  const isCounted = "SUV".includes(kind);
  const width = "iufc".includes(kind) ? String(Number(size) * 8) : "";
  const count = isCounted ? ` of ${size}` : "";
  return `${name}${width}${unit ?? ""}${count} (${descr}${kind === "b" || isCounted ? "" : (ORDERS.get(order) ?? "")})`;
}
