// Parquet: what the file says of itself, and its first rows.

import { absolute } from "../paths.js";
import { cutNote, facts, firstOf, note, stack, table } from "./elements.js";
import { bytes } from "./amounts.js";
import { worked } from "./workers.js";

const SECONDS = 20;

export async function showParquet(source) {
  const { size, etag, url } = source.artifact;
  const artifact = { size, etag, url: absolute(url) };
  const read = await worked("parquet", artifact, SECONDS, source.signal);
  const { heads, lines, isAll } = read.rows;
  return stack(
    facts([...read.facts, ["Size", bytes(size)]]),
    ...read.problems.map(note),
    ...(lines.length > 0 ? [table(firstOf(lines.length, isAll, "row"), heads, lines)] : []),
    ...cutNote(read.columnsRead, read.columns, "columns"),
    table("Schema", ["Column", "Type", "Nullable"], read.schema, { rowHeaders: true }),
    ...cutNote(read.schema.length, read.columns, "columns"),
  );
}
