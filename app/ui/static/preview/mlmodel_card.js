// What the card of an MLmodel file shows, as texts. In YAML one value can stand in many places, so that a few
// lines can be as much as gigabytes: all that is walked through, or handed over, is counted.

import { bytes, CELL_CHARACTERS, cut } from "./amounts.js";
import { parseJson, summary, Verbatim } from "./tree.js";

const ROWS = 300;
const VERSIONS = 20;
// Of all texts, in every place where they stand: twice what can be written out in the file.
const CHARACTERS = 1024 * 1024;
// Of the signature, with what is in them.
const FIELDS = 10_000;
const WORD_CHARACTERS = 80;
const KNOWN = new Set(
  "artifact_path flavors mlflow_version model_id model_size_bytes model_uuid run_id signature utc_time_created".split(
    " ",
  ),
);

/** `{facts, flavors, signature, others}` of what the file says; null where that is no mapping, or too much. */
export function cardOf(model) {
  if (!isMapping(model) || charactersOf(model) > CHARACTERS) return null;
  return {
    facts: facts(model),
    flavors: flavors(own(model, "flavors")),
    signature: signature(own(model, "signature")),
    others: Object.fromEntries(Object.entries(model).filter(([key]) => !KNOWN.has(key))),
  };
}

/** Those of all keys and texts. To hand over a text copies it, unlike a list or a mapping. */
function charactersOf(value) {
  const seen = new Set([value]);
  let characters = 0;
  for (const each of seen) {
    for (const [key, inner] of Object.entries(each)) {
      characters += key.length + (typeof inner === "string" ? inner.length : 0);
      if (inner !== null && typeof inner === "object") seen.add(inner);
    }
  }
  return characters;
}

function facts(model) {
  const python = own(own(own(model, "flavors"), "python_function"), "python_version");
  const size = own(model, "model_size_bytes");
  return [
    ["Model ID", text(own(model, "model_id"))],
    ["Model UUID", text(own(model, "model_uuid"))],
    ["Run ID", text(own(model, "run_id"))],
    ["Created (UTC)", text(own(model, "utc_time_created"))],
    ["Path in the run", text(own(model, "artifact_path"))],
    ["MLflow", text(own(model, "mlflow_version"))],
    ["Python", text(python)],
    ["Size", typeof size === "number" && size >= 0 ? bytes(size) : text(size)],
  ];
}

/** `{count, rows}`; of each row its name, its versions in words, and its other settings with their number. */
function flavors(value) {
  if (!isMapping(value)) return null;
  const names = Object.keys(value);
  const rows = names.slice(0, ROWS).map((name) => {
    const settings = isMapping(value[name]) ? value[name] : {};
    const versions = Object.keys(settings).filter(isVersion);
    const shown = versions.slice(0, VERSIONS).map((key) => `${word(key.slice(0, -8))} ${word(settings[key])}`);
    const others = Object.keys(settings).length - versions.length;
    return { name, versions: shown.join(", "), settings, others };
  });
  return { count: names.length, rows };
}

/** Whether a setting of a flavor, such as `sklearn_version`, is shown as its version. */
export function isVersion(key) {
  return key.endsWith("_version");
}

function signature(value) {
  if (!isMapping(value)) return [];
  const budget = { fields: FIELDS };
  return [
    part("Inputs", own(value, "inputs"), budget),
    part("Outputs", own(value, "outputs"), budget),
    part("Parameters", own(value, "params"), budget),
  ].filter((each) => each !== null);
}

/**
 * What MLflow keeps as JSON in a string: a list of columns, of tensors or of parameters. Either `{label, columns,
 * rows, count}`, or `{label, problem, text}` for what is no list.
 */
function part(label, value, budget) {
  if (value === null || value === undefined) return null;
  let fields = value;
  if (typeof value === "string") {
    try {
      fields = parseJson(value);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
      return { label, problem: "This part of the signature is not valid JSON:", text: cut(value, 2000) };
    }
  }
  if (!Array.isArray(fields)) {
    const shown = typeof value === "string" ? cut(value, 2000) : summary(value);
    return { label, problem: "This part of the signature is no list:", text: shown };
  }
  if (fields.length === 0) return null;
  const isParameters = label === "Parameters";
  const rows = fields.slice(0, ROWS).map((field, index) => {
    const spec = own(field, "tensor-spec");
    const type = isMapping(spec) ? tensorType(spec) : columnType(field, budget);
    const last = isParameters
      ? literal(own(field, "default"))
      : own(field, "required") === false
        ? "no"
        : "yes";
    return [cut(text(own(field, "name")) ?? `(${index + 1})`, CELL_CHARACTERS), type, last];
  });
  return { label, columns: ["Name", "Type", isParameters ? "Default" : "Required"], rows, count: fields.length };
}

function tensorType(spec) {
  return `tensor of ${word(own(spec, "dtype"))}, shape ${literal(own(spec, "shape"))}`;
}

function columnType(field, budget, depth = 0) {
  budget.fields -= 1;
  if (budget.fields < 0) return "…";
  const type = word(own(field, "type") ?? own(field, "dtype"));
  if (depth > 4) return type;
  if (type === "array") return `array of ${columnType(own(field, "items"), budget, depth + 1)}`;
  if (type === "map") return `map of ${columnType(own(field, "values"), budget, depth + 1)}`;
  const properties = own(field, "properties");
  if (type !== "object" || !isMapping(properties)) return type;
  const inner = Object.keys(properties)
    .slice(0, 20)
    .map((key) => `${word(key)}: ${columnType(properties[key], budget, depth + 1)}`);
  return `object {${inner.join(", ")}}`;
}

function literal(value) {
  if (value === undefined) return "";
  if (!Array.isArray(value)) return summary(value);
  return `[${value.slice(0, 32).map(summary).join(", ")}]`;
}

function isMapping(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Verbatim);
}

/** What the mapping itself has, and nothing that all objects have. */
function own(mapping, key) {
  return isMapping(mapping) && Object.hasOwn(mapping, key) ? mapping[key] : undefined;
}

function text(value) {
  if (value instanceof Verbatim) return value.text;
  return ["string", "number", "boolean"].includes(typeof value) ? String(value) : undefined;
}

/** One of many in a text. */
function word(value) {
  return cut(text(value) ?? "?", WORD_CHARACTERS);
}
