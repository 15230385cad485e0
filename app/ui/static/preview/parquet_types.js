// The types of Parquet's columns, in words.

const DEPTH = 4;
const FIELDS = 10;
const PHYSICAL = new Map([
  ["BOOLEAN", "boolean"],
  ["INT32", "int32"],
  ["INT64", "int64"],
  ["INT96", "timestamp (int96)"],
  ["FLOAT", "float"],
  ["DOUBLE", "double"],
  ["BYTE_ARRAY", "binary"],
]);
const UNITS = new Map([
  ["MILLIS", "ms"],
  ["MICROS", "us"],
  ["NANOS", "ns"],
]);

export function describedType(column, depth = 0) {
  if (depth > DEPTH) return "…";
  const list = listItem(column);
  if (list) return `list of ${describedType(list, depth + 1)}`;
  const map = mapItems(column);
  if (map) return `map of ${map.map((each) => describedType(each, depth + 1)).join(" to ")}`;
  if (column.children.length === 0) return leafType(column.element);
  if (column.element.logical_type?.type === "VARIANT") return "variant";
  const fields = column.children
    .slice(0, FIELDS)
    .map((child) => `${child.element.name}: ${describedType(child, depth + 1)}`);
  return `struct {${fields.join(", ")}${column.children.length > FIELDS ? ", …" : ""}}`;
}

/** What a list holds; null for what is no list. */
export function listItem(column) {
  const { converted_type: converted, logical_type: logical } = column.element;
  if (converted !== "LIST" && logical?.type !== "LIST") return null;
  const repeated = column.children[0];
  if (repeated === undefined) return null;
  return repeated.children.length === 1 ? repeated.children[0] : repeated;
}

/** The keys and the values of a map; null for what is no map. */
export function mapItems(column) {
  const { converted_type: converted, logical_type: logical } = column.element;
  if (!["MAP", "MAP_KEY_VALUE"].includes(converted) && logical?.type !== "MAP") return null;
  const items = column.children[0]?.children;
  return items?.length === 2 ? items : null;
}

function leafType(element) {
  const { type, logical_type: logical, converted_type: converted, precision, scale } = element;
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return `decimal(${precision}, ${scale ?? 0})`;
  switch (logical?.type) {
    case "TIMESTAMP":
      return `timestamp[${UNITS.get(logical.unit) ?? "?"}${logical.isAdjustedToUTC ? ", UTC" : ""}]`;
    case "TIME":
      return `time[${UNITS.get(logical.unit) ?? "?"}]`;
    case "INTEGER":
      return `${logical.isSigned ? "int" : "uint"}${logical.bitWidth}`;
    case undefined:
      break;
    default:
      return String(logical.type).toLowerCase();
  }
  if (converted === "UTF8") return "string";
  if (converted) return String(converted).toLowerCase();
  if (type === "FIXED_LEN_BYTE_ARRAY") return `binary[${element.type_length}]`;
  return PHYSICAL.get(type) ?? "?";
}
