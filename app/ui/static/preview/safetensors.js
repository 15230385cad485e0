// The header of a safetensors file: 8 bytes with its length, and JSON. The tensors themselves are not read.

import { bytes } from "./amounts.js";
import { cutNote, facts, note, stack, table } from "./elements.js";
import { PreviewFailure } from "./failure.js";
import { worked } from "./workers.js";

const HEADER_BYTES = 25 * 1024 * 1024;
const SECONDS = 10;

export async function showSafetensors(source) {
  const read = await worked("safetensors", await readHeader(source), SECONDS, source.signal);
  const columns = ["Name", "Type", "Shape", { name: "Size", numeric: true }];
  return stack(
    facts([...read.facts, ["Size", bytes(source.size)]]),
    ...(read.isSound ? [] : [note("Some entries of this header are not as the format wants them.")]),
    ...cutNote(read.rows.length, read.tensors, "tensors"),
    table("Tensors", columns, read.rows, { rowHeaders: true }),
    ...(read.entries > 0 ? [table("Metadata", ["Key", "Value"], read.metadata, { rowHeaders: true })] : []),
    ...cutNote(read.metadata.length, read.entries, "entries of the metadata"),
  );
}

async function readHeader(source) {
  const damaged = new PreviewFailure("This is no safetensors file, or its header is damaged.");
  if (source.size < 8) throw damaged;
  const start = await source.read(0, 8);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(source.size - 8)) throw damaged;
  if (length > BigInt(HEADER_BYTES)) {
    throw new PreviewFailure(
      `The header of this file has ${bytes(length)}; more than ${bytes(HEADER_BYTES)} are not read.`,
    );
  }
  return source.read(8, 8 + Number(length));
}
