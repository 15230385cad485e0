// Reads the description of a Parquet file and its first rows, all of it as texts.

import { parquetMetadataAsync, parquetSchema } from "../vendor/hyparquet-1.31.5/src/index.js";
import { answer } from "./answering.js";
import { bytes, cut, grouped } from "./amounts.js";
import { PreviewFailure } from "./failure.js";
import { readRows } from "./parquet_rows.js";
import { describedType } from "./parquet_types.js";
import { formatted } from "./parquet_values.js";
import { Source } from "./source.js";

const FOOTER_BYTES = 32 * 1024 * 1024;
const TAIL_BYTES = 64 * 1024;
const SCHEMA_COLUMNS = 500;
const COLUMNS = 50;
const ROWS = 50;

answer(async (artifact) => {
  const source = new Source(artifact);
  const metadata = await readMetadata(source);
  const columns = parquetSchema(metadata).children;
  const chunks = metadata.row_groups.flatMap((group) => group.columns.map((column) => column.meta_data));
  const codecs = [...new Set(chunks.map((chunk) => chunk?.codec ?? "?"))];
  const shown = columns.slice(0, COLUMNS);
  const read = metadata.num_rows > 0n ? await readRows(source, metadata, shown, ROWS) : [];
  return {
    facts: [
      ["Rows", grouped(metadata.num_rows)],
      ["Columns", grouped(columns.length)],
      ["Row groups", grouped(metadata.row_groups.length)],
      ["Compression", codecs.join(", ").toLowerCase()],
      ["Written by", cut(metadata.created_by ?? "")],
    ],
    problems: problems(read.filter(({ problem }) => problem !== null)),
    rows: rows(
      read.filter(({ problem }) => problem === null),
      Number(metadata.num_rows),
    ),
    schema: columns.slice(0, SCHEMA_COLUMNS).map((column) => {
      const isRequired = column.element.repetition_type === "REQUIRED";
      return [cut(column.element.name), cut(describedType(column)), isRequired ? "no" : "yes"];
    }),
    columns: columns.length,
    columnsRead: shown.length,
  };
});

async function readMetadata(source) {
  if (source.size < 12) throw new PreviewFailure("This is no Parquet file: it is too short for one.");
  const slice = async (start, end = source.size) => {
    if (end - start > FOOTER_BYTES) {
      throw new PreviewFailure(`The description of this file has more than ${bytes(FOOTER_BYTES)}.`);
    }
    return (await source.read(start, end)).slice().buffer;
  };
  const file = { byteLength: source.size, slice };
  return parquetMetadataAsync(file, { initialFetchSize: TAIL_BYTES, geoparquet: false });
}

/** One sentence for each reason why columns have no values here. */
function problems(missing) {
  const reasons = [...new Set(missing.map(({ problem }) => problem))].slice(0, 5);
  return reasons.map((reason) => {
    const names = missing
      .filter(({ problem }) => problem === reason)
      .map(({ column }) => column.element.name);
    const which = names.length > 5 ? `${grouped(names.length)} columns` : names.join(", ");
    return `No values of ${cut(which)}: ${reason}`;
  });
}

function rows(read, all) {
  const count = Math.min(ROWS, all, Math.max(0, ...read.map(({ values }) => values.length)));
  return {
    isAll: count === all,
    heads: read.map(({ column }) => ({ name: cut(column.element.name), detail: cut(describedType(column)) })),
    lines: Array.from({ length: count }, (_, index) =>
      read.map(({ column, values }) => formatted(values[index], column)),
    ),
  };
}
