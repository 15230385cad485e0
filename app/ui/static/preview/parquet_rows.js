// The first rows of a Parquet file: of each column no more pages than they need are read, and none that are
// too large.

import { parquetRead } from "../vendor/hyparquet-1.31.5/src/index.js";
import { parquetHeader } from "../vendor/hyparquet-1.31.5/src/column.js";
import { bytes } from "./amounts.js";
import { decompressors } from "./decompressors.js";
import { PreviewFailure } from "./failure.js";
import { repeatedBytes } from "./parquet_prefixes.js";
import { PARSERS, withoutConversions } from "./parquet_values.js";

const WINDOW_BYTES = 64 * 1024;
const CHUNK_BYTES = 4 * 1024 * 1024;
const UNPACKED_BYTES = 32 * 1024 * 1024;
const VALUES = 2_000_000;
// Lists make many values of a row: how many is known only when they are read, so at first these.
const NESTED_VALUES = 4096;
const MORE = 16;
const AT_ONCE = 6;
// So little is read at once for all columns.
const TOGETHER_BYTES = 1024 * 1024;

/** For each column `{column, values, problem}`: its first values, or a sentence why there are none. */
export async function readRows(source, metadata, columns, limit) {
  const group = metadata.row_groups.find((each) => each.num_rows > 0n);
  if (group === undefined) return [];
  const file = {
    metadata: { ...metadata, schema: withoutConversions(metadata.schema) },
    group,
    decompress: await decompressors(group.columns.map((chunk) => chunk.meta_data?.codec)),
  };
  readTogether(source, group, columns);
  const read = [];
  for (let start = 0; start < columns.length; start += AT_ONCE) {
    const some = columns.slice(start, start + AT_ONCE);
    read.push(...(await Promise.all(some.map((column) => readColumn(source, file, column, limit)))));
  }
  return read;
}

function readTogether(source, group, columns) {
  const chunks = columns.flatMap((column) => chunksOf(column, group)).map((chunk) => placeOf(chunk, source));
  const start = Math.min(...chunks.map((place) => place.start));
  const end = Math.max(...chunks.map((place) => place.start + place.size));
  if (chunks.length > 1 && start >= 0 && end - start <= TOGETHER_BYTES) source.keep(start, end);
}

async function readColumn(source, file, column, limit) {
  try {
    return { column, values: await values(source, file, column, limit), problem: null };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    source.signal?.throwIfAborted();
    const isKnown = error instanceof PreviewFailure;
    const problem = isKnown ? error.message : `they cannot be read (${error.message.slice(0, 100)}).`;
    return { column, values: [], problem };
  }
}

async function values(source, file, column, limit) {
  const rows = Math.min(limit, Number(file.group.num_rows));
  const isNested = column.children.length > 0;
  for (let wanted = isNested ? NESTED_VALUES : rows; ; wanted *= MORE) {
    const pieces = [];
    for (const chunk of chunksOf(column, file.group)) {
      const piece = await beginning(source, chunk, wanted, file.decompress);
      if (repeatedBytes(piece.data, chunk, file.metadata.schema, file.decompress) > UNPACKED_BYTES) {
        throw new PreviewFailure(`their first values have more than ${bytes(UNPACKED_BYTES)}.`);
      }
      pieces.push(piece);
    }
    const found = await decoded(source.size, file, column, pieces, isNested ? rows + 1 : rows);
    // Where one more row has begun, the last that is wanted is whole.
    if (!isNested || found.length > rows || pieces.every((piece) => piece.isAll)) return found.slice(0, rows);
    if (wanted > VALUES) throw new PreviewFailure("their first rows hold too many values for a preview.");
  }
}

async function decoded(byteLength, { metadata, group, decompress }, column, pieces, rows) {
  const found = [];
  await parquetRead({
    file: memory(byteLength, pieces),
    metadata: { ...metadata, row_groups: [{ ...group, columns: pieces.map((piece) => piece.chunk) }] },
    columns: [column.element.name],
    rowEnd: rows,
    compressors: decompress,
    parsers: PARSERS,
    utf8: false, // what is no text by its type is shown as bytes
    useOffsetIndex: false,
    onChunk: ({ columnData }) => found.push(...columnData.slice(0, rows - found.length)),
  });
  return found;
}

function chunksOf(column, group) {
  return group.columns.filter((chunk) => chunk.meta_data?.path_in_schema[0] === column.element.name);
}

function placeOf({ meta_data: meta }, source) {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
  return { start, size: Math.min(Number(meta.total_compressed_size), source.size - start) };
}

/** The first pages of a chunk, for `wanted` values, and its description as if there were no others. */
async function beginning(source, chunk, wanted, decompress) {
  const meta = chunk.meta_data;
  if (meta.codec !== "UNCOMPRESSED" && !Object.hasOwn(decompress, meta.codec)) {
    throw new PreviewFailure(`they are compressed by ${meta.codec}, which is not unpacked here.`);
  }
  const { start, size } = placeOf(chunk, source);
  let data = new Uint8Array();
  let length = Math.min(size, WINDOW_BYTES);
  for (;;) {
    data = joined(data, await source.read(start + data.length, start + length));
    const end = pagesEnd(data, size, wanted);
    if (end <= length) {
      const piece = { start, data: data.subarray(0, end), isAll: end >= size };
      return { ...piece, chunk: { ...chunk, meta_data: { ...meta, total_compressed_size: BigInt(end) } } };
    }
    // With the header of the page that follows.
    length = Math.min(size, Math.max(end + WINDOW_BYTES, Math.min(2 * length, CHUNK_BYTES)));
    if (length > CHUNK_BYTES) {
      throw new PreviewFailure(`their first pages have more than ${bytes(CHUNK_BYTES)}.`);
    }
  }
}

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/**
 * Where the pages end that hold `wanted` values; beyond `data` if more of the `size` bytes are needed to tell.
 *
 * Refuses pages that would unpack to more than a preview may take, before anything is unpacked.
 */
function pagesEnd(data, size, wanted) {
  const reader = { view: new DataView(data.buffer, data.byteOffset, data.byteLength), offset: 0 };
  let counted = 0;
  let unpacked = 0;
  while (counted < wanted && reader.offset < size) {
    const page = pageAt(reader, size);
    if (page === null) return data.length + 1;
    counted += page.isData ? page.values : 0;
    unpacked += page.unpacked;
    if (!page.isSound || page.values > VALUES || unpacked > UNPACKED_BYTES) {
      throw new PreviewFailure(
        `their first pages unpack to more than ${bytes(UNPACKED_BYTES)}, or are damaged.`,
      );
    }
    reader.offset += page.packed;
    if (reader.offset > data.length) return reader.offset;
  }
  return reader.offset;
}

/** What the header of a page says; null if it is cut. */
function pageAt(reader, size) {
  const start = reader.offset;
  let header;
  try {
    header = parquetHeader(reader);
  } catch (error) {
    // At the end of what was read so far anything may be missing.
    const isCut = reader.view.byteLength < size && reader.view.byteLength - start < WINDOW_BYTES;
    if (isCut) return null;
    throw error;
  }
  const data = header.data_page_header ?? header.data_page_header_v2;
  const page = {
    isData: data !== undefined,
    values: data?.num_values ?? header.dictionary_page_header?.num_values ?? 0,
    packed: header.compressed_page_size,
    unpacked: header.uncompressed_page_size,
  };
  const isSound = page.packed >= 0 && page.unpacked >= 0 && page.values >= 0 && !(data?.num_rows < 0);
  return { ...page, isSound };
}

/** For hyparquet: a file of which only these pieces are there. */
function memory(byteLength, pieces) {
  return {
    byteLength,
    slice: (start, end) => {
      const length = pieces.reduce(
        (furthest, piece) => Math.max(furthest, piece.start + piece.data.length),
        0,
      );
      const asked = new Uint8Array(Math.max(0, Math.min(end, length) - start));
      for (const piece of pieces) {
        const from = Math.max(start, piece.start);
        const to = Math.min(end, piece.start + piece.data.length);
        if (from < to) asked.set(piece.data.subarray(from - piece.start, to - piece.start), from - start);
      }
      return asked.buffer;
    },
  };
}
