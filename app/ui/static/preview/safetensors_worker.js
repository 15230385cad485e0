// Reads the header of a safetensors file, which is JSON of up to millions of tensors.

import { answer } from "./answering.js";
import { bytes, cut, grouped } from "./amounts.js";
import { PreviewFailure } from "./failure.js";

const TENSORS = 500;
const METADATA = 100;
const DTYPES = 20;
const DIMENSIONS = 64;

answer((data) => {
  const header = parsed(data);
  const tensors = Object.keys(header)
    .filter((name) => name !== "__metadata__")
    .map((name) => tensor(name, header[name]));
  const parameters = tensors.reduce((sum, each) => sum + each.parameters, 0n);
  const metadata = Object.hasOwn(header, "__metadata__") ? Object.entries(header.__metadata__ ?? {}) : [];
  return {
    facts: [
      ["Tensors", grouped(tensors.length)],
      ["Parameters", grouped(parameters)],
      ["Types", [...new Set(tensors.map((each) => each.dtype))].slice(0, DTYPES).join(", ")],
    ],
    isSound: tensors.every((each) => each.size !== null),
    rows: tensors
      .slice(0, TENSORS)
      .map(({ name, dtype, shape, size }) => [cut(name), dtype, shape, size === null ? null : bytes(size)]),
    tensors: tensors.length,
    metadata: metadata.slice(0, METADATA).map(([key, value]) => [cut(key), cut(String(value))]),
    entries: metadata.length,
  };
});

function parsed(data) {
  const damaged = new PreviewFailure("This is no safetensors file, or its header is damaged.");
  try {
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
    if (header !== null && typeof header === "object" && !Array.isArray(header)) return header;
  } catch (error) {
    const isOfTheFile = [SyntaxError, RangeError, TypeError].some((kind) => error instanceof kind);
    if (!isOfTheFile) throw error;
  }
  throw damaged;
}

/** What is told of a tensor; its size is null where that cannot be told. */
function tensor(name, entry) {
  const isNumber = (value) => Number.isSafeInteger(value) && value >= 0;
  const { dtype, shape, data_offsets: offsets } = entry ?? {};
  const isShape = Array.isArray(shape) && shape.length <= DIMENSIONS && shape.every(isNumber);
  const isSpan =
    Array.isArray(offsets) && offsets.length === 2 && offsets.every(isNumber) && offsets[0] <= offsets[1];
  return {
    name,
    dtype: typeof dtype === "string" ? dtype.slice(0, 20) : "?",
    shape: isShape ? `[${shape.join(", ")}]` : "?",
    parameters: isShape ? shape.reduce((product, each) => product * BigInt(each), 1n) : 0n,
    size: isShape && isSpan ? offsets[1] - offsets[0] : null,
  };
}
