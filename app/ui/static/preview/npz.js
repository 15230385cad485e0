// An archive of NumPy arrays: the zip directory at its end, and of each array the header.

import { bytes, grouped } from "./amounts.js";
import { cutNote, facts, note, stack, table } from "./elements.js";
import { PreviewFailure } from "./failure.js";
import { HEADER_BYTES, parseHeader } from "./numpy.js";
import { readDirectory, readMemberStart } from "./zip.js";

const MEMBERS = 200;
const EXAMINED = 50;
const AT_ONCE = 6;

export async function showArchiveOfArrays(source) {
  const { members, count } = await readDirectory(source, MEMBERS);
  const rows = [];
  for (let start = 0; start < members.length; start += AT_ONCE) {
    const group = members.slice(start, start + AT_ONCE);
    rows.push(
      ...(await Promise.all(group.map((member, index) => row(source, member, start + index < EXAMINED)))),
    );
  }
  const isPickled = rows.some((each) => each.isPickled);
  const columns = ["Name", "Type", "Shape", "Order", { name: "Size", numeric: true }, "Stored as"];
  return stack(
    facts([
      ["Arrays", grouped(count)],
      ["Size", bytes(source.size)],
    ]),
    ...(isPickled
      ? [
          note(
            "An array here holds pickled Python objects: to load it runs code. Load it only if you trust it.",
          ),
        ]
      : []),
    ...cutNote(rows.length, count, "arrays"),
    ...(members.length > EXAMINED ? [note(`The types and shapes of the first ${EXAMINED} were read.`)] : []),
    table(
      "Arrays",
      columns,
      rows.map((each) => each.cells),
      { rowHeaders: true },
    ),
  );
}

async function row(source, member, isExamined) {
  const header = isExamined && member.name.endsWith(".npy") ? await headerOf(source, member) : null;
  const name = member.name.replace(/\.npy$/, "");
  const described = header === null ? ["", "", ""] : [header.type, header.shape, header.order];
  return {
    isPickled: header?.isPickled ?? false,
    cells: [name, ...described, bytes(member.size), member.compression],
  };
}

async function headerOf(source, member) {
  try {
    const start = await readMemberStart(source, member, HEADER_BYTES);
    return start === null ? null : parseHeader(start);
  } catch (error) {
    if (!(error instanceof PreviewFailure)) throw error;
    source.signal?.throwIfAborted();
    return { type: "not a NumPy array", shape: "", order: "", isPickled: false };
  }
}
