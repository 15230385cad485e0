// Values of Parquet as texts. Nothing is rounded: times keep their nanoseconds, decimals and large integers
// their digits.

import { CELL_CHARACTERS } from "./amounts.js";
import { listItem, mapItems } from "./parquet_types.js";

const DEPTH = 8;
const ITEMS = 30;
const BYTES = 32;
const DAY = 86_400_000;

/** For hyparquet: texts and bytes, instead of objects that would hold less than the file does. */
export const PARSERS = {
  timestampFromMilliseconds: (value) => timestamp(value, 1000n, 3),
  timestampFromMicroseconds: (value) => timestamp(value, 1_000_000n, 6),
  timestampFromNanoseconds: (value) => timestamp(value, 1_000_000_000n, 9),
  dateFromDays: (value) =>
    value === undefined || value === null ? value : dateText(Number(value) * DAY).slice(0, -9),
  geometryFromBytes: (value) => value,
  geographyFromBytes: (value) => value,
};

/** The schema for reading, without those conversions that lose digits, or that hyparquet cannot do. */
export function withoutConversions(schema) {
  return schema.map((element) => {
    switch (element.converted_type) {
      case "DECIMAL":
      case "INTERVAL":
      case "BSON":
        return { ...element, converted_type: undefined, logical_type: undefined };
      case "JSON":
        return { ...element, converted_type: "UTF8" };
      default:
        return element;
    }
  });
}

/** The text for a cell, null for no value. `column` is of the file's own schema. */
export function formatted(value, column) {
  if (value === undefined || value === null) return null;
  return written(value, column, 0).slice(0, CELL_CHARACTERS + 1);
}

function written(value, column, depth) {
  if (value === undefined || value === null) return "null";
  if (depth > DEPTH) return "…";
  if (value instanceof Uint8Array) return leaf(value, column);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const inner = column && listItem(column);
    return `[${several([...value.slice(0, ITEMS)], value.length, (each) => nested(each, inner, depth + 1))}]`;
  }
  if (typeof value === "object") {
    const keys = Object.keys(value);
    const map = column && mapItems(column);
    const field = (key) => map?.[1] ?? column?.children.find((child) => child.element.name === key);
    const shown = (key) => `${key}: ${nested(value[key], field(key), depth + 1)}`;
    return `{${several(keys.slice(0, ITEMS), keys.length, shown)}}`;
  }
  return leaf(value, column);
}

function nested(value, column, depth) {
  return typeof value === "string"
    ? JSON.stringify(value.slice(0, CELL_CHARACTERS))
    : written(value, column, depth);
}

function several(items, count, text) {
  return items.map(text).join(", ") + (count > items.length ? ", …" : "");
}

function leaf(value, column) {
  const { converted_type: converted, logical_type: logical, scale, type } = column?.element ?? {};
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return decimal(value, scale ?? 0);
  if (value instanceof Uint8Array) return hexadecimal(value);
  if (logical?.type === "TIME" || converted === "TIME_MILLIS" || converted === "TIME_MICROS") {
    const digits = { MILLIS: 3, MICROS: 6, NANOS: 9 }[logical?.unit] ?? (type === "INT32" ? 3 : 6);
    return timestamp(value, 10n ** BigInt(digits), digits).slice("1970-01-01 ".length);
  }
  return String(value);
}

function timestamp(value, perSecond, digits) {
  if (value === undefined || value === null) return value;
  const units = BigInt(value);
  const part = ((units % perSecond) + perSecond) % perSecond;
  const fraction = part === 0n ? "" : `.${String(part).padStart(digits, "0")}`;
  return dateText(Number((units - part) / perSecond) * 1000) + fraction;
}

function dateText(milliseconds) {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? "out of range" : date.toISOString().slice(0, -5).replace("T", " ");
}

function decimal(value, scale) {
  const unscaled = value instanceof Uint8Array ? signed(value) : BigInt(value);
  const sign = unscaled < 0n ? "-" : "";
  const digits = String(unscaled < 0n ? -unscaled : unscaled);
  if (!(scale > 0 && scale <= 100)) return sign + digits;
  const padded = digits.padStart(scale + 1, "0");
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}

// Big-endian two's complement.
function signed(bytes) {
  const value = BigInt(`0x0${Array.from(bytes.subarray(0, 64), hexByte).join("")}`);
  return BigInt.asIntN(8 * Math.min(64, bytes.length), value);
}

function hexadecimal(bytes) {
  const shown = Array.from(bytes.subarray(0, BYTES), hexByte).join("");
  return bytes.length > BYTES ? `0x${shown}… (${bytes.length} bytes)` : `0x${shown}`;
}

function hexByte(byte) {
  return byte.toString(16).padStart(2, "0");
}
