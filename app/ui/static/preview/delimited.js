// CSV (RFC 4180) and TSV: the first rows as a table.

import { bytes } from "./amounts.js";
import { cutNote, firstOf, note, stack, table, withSource } from "./elements.js";
import { readText, textBlock } from "./text.js";

const ROWS = 200;
const COLUMNS = 100;
const SNIFFED_RECORDS = 10;
const DELIMITERS = [",", ";", "\t", "|"];

export async function showDelimited(source) {
  const head = await readText(source);
  const isTabbed = /\.tsv$/i.test(source.artifact.name);
  const delimiter = isTabbed ? "\t" : sniffed(head.text, head.whole);
  const found = records(head.text, delimiter, head.whole, ROWS + 2);
  if (found.length === 0) return textBlock(head.text);
  const [names, ...rows] = found;
  const width = Math.max(...found.map((record) => record.length));
  const columns = Array.from(
    { length: Math.min(width, COLUMNS) },
    (_, index) => names[index] || `(${index + 1})`,
  );
  const shown = rows.slice(0, ROWS).map((row) => columns.map((_, index) => row[index] ?? null));
  const what = { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars" }[delimiter];
  const caption = `${firstOf(shown.length, head.whole && rows.length <= ROWS, "row")}, separated by ${what}`;
  const cutAt = head.whole ? [] : [note(`Read from the first ${bytes(head.read)} of ${bytes(source.size)}.`)];
  const rendered = stack(
    ...cutAt,
    ...cutNote(columns.length, width, "columns"),
    table(caption, columns, shown),
  );
  return withSource(rendered, () => textBlock(head.text));
}

/** The delimiter that cuts the first records into the same number of fields, and into most. */
function sniffed(text, whole) {
  let best = ",";
  let most = 1;
  for (const delimiter of DELIMITERS) {
    const widths = records(text, delimiter, whole, SNIFFED_RECORDS).map((record) => record.length);
    const least = Math.min(...widths);
    if (widths.length > 0 && least > most) {
      best = delimiter;
      most = least;
    }
  }
  return best;
}

/**
 * At most `limit` records. Lines may end with LF, CRLF or CR, quoted fields may hold them; what follows the
 * closing quote of a field belongs to it, as it is. Where the text is not `whole`, its last record is left out.
 */
function records(text, delimiter, whole, limit) {
  const found = [];
  let fields = [];
  let position = 0;
  while (position < text.length && found.length < limit) {
    const [field, end] = fieldAt(text, position, delimiter);
    fields.push(field);
    const stop = text[end];
    position = end + 1;
    if (stop === delimiter) {
      if (position === text.length && whole) fields.push("");
      else continue;
    } else if (stop === undefined && !whole) {
      break;
    }
    if (stop === "\r" && text[position] === "\n") position += 1;
    if (fields.length > 1 || fields[0] !== "") found.push(fields);
    fields = [];
  }
  return found;
}

function fieldAt(text, start, delimiter) {
  if (text[start] !== '"') {
    const end = unquotedEnd(text, start, delimiter);
    return [text.slice(start, end), end];
  }
  let value = "";
  let position = start + 1;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return [value + text.slice(position), text.length];
    value += text.slice(position, quote);
    position = quote + 1;
    if (text[position] !== '"') break;
    value += '"';
    position += 1;
  }
  const end = unquotedEnd(text, position, delimiter);
  return [value + text.slice(position, end), end];
}

function unquotedEnd(text, start, delimiter) {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && text[end] !== "\r") end += 1;
  return end;
}
