// In the encoding DELTA_BYTE_ARRAY a value tells how much of the one before it is its beginning: a few bytes in
// a page can be a megabyte for each of its values. How much that is can be told without making the values.

import { parquetHeader } from "../vendor/hyparquet-1.31.5/src/column.js";
import { decompressPage, readDataPage, readDataPageV2 } from "../vendor/hyparquet-1.31.5/src/datapage.js";
import { getSchemaPath } from "../vendor/hyparquet-1.31.5/src/schema.js";

const ENCODING = "DELTA_BYTE_ARRAY";
// The lengths of the beginnings stand first in a page of that encoding, as numbers of this one.
const LENGTHS = { encoding: "DELTA_BINARY_PACKED" };

/** So many bytes would be copied to make the values of the pages in `data`, which is of this chunk. */
export function repeatedBytes(data, { meta_data: meta }, schema, compressors) {
  const schemaPath = getSchemaPath(schema, meta.path_in_schema);
  const decoder = { type: "INT32", element: schemaPath.at(-1).element, schemaPath, codec: meta.codec, compressors };
  const reader = { view: new DataView(data.buffer, data.byteOffset, data.byteLength), offset: 0 };
  let sum = 0;
  while (reader.offset < data.length) {
    const header = parquetHeader(reader);
    const page = data.subarray(reader.offset, reader.offset + header.compressed_page_size);
    reader.offset += header.compressed_page_size;
    const lengths = beginnings(page, header, decoder);
    for (const length of lengths) sum += Math.max(0, length);
  }
  return sum;
}

function beginnings(page, header, decoder) {
  const { data_page_header: first, data_page_header_v2: second } = header;
  if (first?.encoding === ENCODING) {
    const unpacked = decompressPage(page, header.uncompressed_page_size, decoder.codec, decoder.compressors);
    return readDataPage(unpacked, { ...first, ...LENGTHS }, decoder).dataPage;
  }
  if (second?.encoding === ENCODING) {
    return readDataPageV2(page, { ...header, data_page_header_v2: { ...second, ...LENGTHS } }, decoder).dataPage;
  }
  return [];
}
