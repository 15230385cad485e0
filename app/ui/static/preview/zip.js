// The directory of a zip file, and the beginnings of its members, read by ranges.

import { PreviewFailure } from "./failure.js";

const END_BYTES = 22;
const COMMENT_BYTES = 0xffff;
const DIRECTORY_BYTES = 4 * 1024 * 1024;
const MEMBER_BYTES = 46;
const LOCAL_BYTES = 30;
const NAMES_BYTES = 512;
const STORED = 0;
const DEFLATED = 8;
const IN_ZIP64 = 0xffffffff;

/** At most `limit` members, and how many there are. */
export async function readDirectory(source, limit) {
  const { offset, size, count } = await findDirectory(source);
  if (offset + size > source.size) throw damaged();
  if (size > DIRECTORY_BYTES)
    throw new PreviewFailure("The directory of this archive is too long for a preview.");
  const data = await source.read(offset, offset + size);
  const view = viewOf(data);
  const members = [];
  let position = 0;
  while (members.length < limit && position + MEMBER_BYTES <= data.length) {
    if (view.getUint32(position, true) !== 0x02014b50) throw damaged();
    const nameEnd = position + MEMBER_BYTES + view.getUint16(position + 28, true);
    const extraEnd = nameEnd + view.getUint16(position + 30, true);
    if (extraEnd > data.length) throw damaged();
    members.push(member(view, position, data.subarray(position + MEMBER_BYTES, nameEnd), nameEnd, extraEnd));
    position = extraEnd + view.getUint16(position + 32, true);
  }
  return { members, count: Math.max(count, members.length) };
}

/** At most `limit` bytes of a member's content; null if it is packed in a way that is not known here. */
export async function readMemberStart(source, member, limit) {
  if (member.isEncrypted || ![STORED, DEFLATED].includes(member.method)) return null;
  const wanted = LOCAL_BYTES + NAMES_BYTES + Math.min(limit, member.packed);
  const data = await source.read(member.offset, Math.min(source.size, member.offset + wanted));
  if (data.length < LOCAL_BYTES) throw damaged();
  const view = viewOf(data);
  if (view.getUint32(0, true) !== 0x04034b50) throw damaged();
  const start = LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  const packed = data.subarray(start, start + member.packed);
  return member.method === STORED ? packed.subarray(0, limit) : inflatedStart(packed, limit);
}

async function findDirectory(source) {
  if (source.size < END_BYTES) throw damaged();
  const tailStart = Math.max(0, source.size - END_BYTES - COMMENT_BYTES);
  const tail = await source.read(tailStart, source.size);
  const view = viewOf(tail);
  let end = tail.length - END_BYTES;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw damaged();
  const plain = {
    count: view.getUint16(end + 10, true),
    size: view.getUint32(end + 12, true),
    offset: view.getUint32(end + 16, true),
  };
  const isZip64 = end >= 20 && view.getUint32(end - 20, true) === 0x07064b50;
  if (!isZip64) return plain;
  const start = Number(view.getBigUint64(end - 12, true));
  const record = viewOf(await source.read(start, start + 56));
  if (record.getUint32(0, true) !== 0x06064b50) throw damaged();
  return {
    count: Number(record.getBigUint64(32, true)),
    size: Number(record.getBigUint64(40, true)),
    offset: Number(record.getBigUint64(48, true)),
  };
}

function member(view, position, name, nameEnd, extraEnd) {
  const method = view.getUint16(position + 10, true);
  const sizes = {
    size: view.getUint32(position + 24, true),
    packed: view.getUint32(position + 20, true),
    offset: view.getUint32(position + 42, true),
  };
  return {
    name: new TextDecoder().decode(name),
    method,
    compression: method === STORED ? "stored" : method === DEFLATED ? "deflated" : `method ${method}`,
    isEncrypted: (view.getUint16(position + 8, true) & 1) === 1,
    ...withZip64(sizes, view, nameEnd, extraEnd),
  };
}

// Sizes that are too large for their fields are in an extra field, in this order.
function withZip64(sizes, view, start, end) {
  const found = { ...sizes };
  let position = start;
  while (position + 4 <= end) {
    const fieldEnd = position + 4 + view.getUint16(position + 2, true);
    if (view.getUint16(position, true) === 1) {
      let value = position + 4;
      for (const name of ["size", "packed", "offset"]) {
        if (sizes[name] !== IN_ZIP64 || value + 8 > Math.min(fieldEnd, end)) continue;
        found[name] = Number(view.getBigUint64(value, true));
        value += 8;
      }
    }
    position = fieldEnd;
  }
  return found;
}

async function inflatedStart(packed, limit) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  const start = new Uint8Array(limit);
  let filled = 0;
  try {
    while (filled < limit) {
      const { done, value } = await reader.read();
      if (done) break;
      const piece = value.subarray(0, limit - filled);
      start.set(piece, filled);
      filled += piece.length;
    }
  } catch {
    // It was cut before its end, so that it must fail somewhere: what came before that is what is wanted.
  } finally {
    await reader.cancel().catch(() => {});
  }
  return start.subarray(0, filled);
}

function viewOf(data) {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

function damaged() {
  return new PreviewFailure("This is no zip archive, or its directory is damaged.");
}
