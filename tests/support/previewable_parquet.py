"""Small Parquet files."""

from __future__ import annotations

import io
import struct
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def rows(count: int, compression: str, *, name: str = "text", value: str = "row") -> bytes:
    """With a column of numbers, and one of that `name` with `value` and the number as text."""
    numbers = list(range(count))
    return _written(pa.table({"number": numbers, name: [f"{value} {each}" for each in numbers]}), compression)


def with_prefixes(count: int, version: str) -> bytes:
    """With a column in which each value tells how much of the one before it is its beginning."""
    values = [f"row {number}" if number % 10 else None for number in range(count)]
    written = io.BytesIO()
    pq.write_table(
        pa.table({"row": values}),
        written,
        use_dictionary=False,
        column_encoding={"row": "DELTA_BYTE_ARRAY"},
        data_page_version=version,
    )
    return written.getvalue()


def endless_prefixes(blocks: int = 15, length: int = 100_000) -> bytes:
    """The same, with one text of that length in all values, of which the file itself has it in one."""
    values = blocks * _BLOCK + 1
    data = _deltas(0, length, blocks) + _deltas(length, -length, blocks) + b"a" * length
    sizes = _field(1, _I32, _zigzag(0)) + 2 * _field(1, _I32, _zigzag(len(data)))
    plain = _field(1, _I32, _zigzag(values)) + _field(1, _I32, _zigzag(7)) + 2 * _field(1, _I32, _zigzag(3))
    page = sizes + _field(2, _STRUCT, plain + _STOP) + _STOP + data
    root = _field(4, _BINARY, _string("schema")) + _field(1, _I32, _zigzag(1)) + _STOP
    leaf = (
        _field(1, _I32, _zigzag(6)) + _field(2, _I32, _zigzag(0)) + _field(1, _BINARY, _string("a")) + _STOP
    )
    place = (
        _field(1, _I32, _zigzag(6))
        + _field(1, _LIST, b"\x15" + _zigzag(7))
        + _field(1, _LIST, b"\x18" + _string("a"))
        + _field(1, _I32, _zigzag(0))
        + _field(1, _I64, _zigzag(values))
        + 2 * _field(1, _I64, _zigzag(len(page)))
        + _field(2, _I64, _zigzag(4))
        + _STOP
    )
    chunk = _field(2, _I64, _zigzag(4)) + _field(1, _STRUCT, place) + _STOP
    group = _field(1, _LIST, b"\x1c" + chunk) + _field(1, _I64, _zigzag(len(page)))
    group += _field(1, _I64, _zigzag(values)) + _STOP
    footer = _field(1, _I32, _zigzag(1)) + _field(1, _LIST, b"\x2c" + root + leaf)
    footer += _field(1, _I64, _zigzag(values)) + _field(1, _LIST, b"\x1c" + group) + _STOP
    return b"PAR1" + page + footer + struct.pack("<I", len(footer)) + b"PAR1"


# Of Thrift's compact protocol, in which Parquet writes what it tells of itself.
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_STOP = b"\0"
_BLOCK = 128
"""Numbers that are packed together, in four parts."""


def _field(after: int, kind: int, value: bytes) -> bytes:
    """One whose number is so much more than that of the field before it."""
    return bytes([after << 4 | kind]) + value


def _string(text: str) -> bytes:
    return _varint(len(text)) + text.encode()


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _varint(number: int) -> bytes:
    low = b""
    while number > 127:
        low += bytes([number & 127 | 128])
        number >>= 7
    return low + bytes([number])


def _deltas(first: int, more: int, blocks: int) -> bytes:
    """As DELTA_BINARY_PACKED: one number, and all others by so much more than it."""
    head = _varint(_BLOCK) + _varint(4) + _varint(blocks * _BLOCK + 1) + _zigzag(first)
    least = min(more, 0)
    packed = struct.pack("<I", more - least) + (_BLOCK - 1) * struct.pack("<I", -least)
    return head + _zigzag(least) + bytes([32] * 4) + packed + (_zigzag(0) + bytes(4)) * (blocks - 1)


def many_types() -> bytes:
    """A column for each type that programs commonly write, with a value and a null."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 123456)
    columns: dict[str, tuple[Any, Any]] = {
        "bool": (True, pa.bool_()),
        "int8": (-128, pa.int8()),
        "int64": (9007199254740993, pa.int64()),
        "uint64": (18446744073709551615, pa.uint64()),
        "float16": (1.5, pa.float16()),
        "float": (0.25, pa.float32()),
        "double": (0.1, pa.float64()),
        "string": ("Grüße", pa.string()),
        "binary": (b"\x00\xff", pa.binary()),
        "fixed": (b"abcd", pa.binary(4)),
        "decimal": (Decimal("123456789012345678901234567.89"), pa.decimal128(29, 2)),
        "small_decimal": (Decimal("-0.30"), pa.decimal128(9, 2)),
        "date": (date(1969, 12, 31), pa.date32()),
        "time": (time(3, 4, 5, 123456), pa.time64("us")),
        "timestamp_ms": (moment, pa.timestamp("ms")),
        "timestamp_us": (moment.replace(tzinfo=UTC), pa.timestamp("us", "UTC")),
        "timestamp_ns": (1767323045123456789, pa.timestamp("ns")),
        "category": ("red", pa.dictionary(pa.int32(), pa.string())),
        "null": (None, pa.null()),
    }
    arrays = {name: pa.array([value, None], kind) for name, (value, kind) in columns.items()}
    return _written(pa.table(arrays), "snappy")


def nested(key: str = "x") -> bytes:
    """With lists, structs and maps, in each other as well."""
    price = pa.struct({key: pa.decimal128(5, 2), "tags": pa.list_(pa.string())})
    columns = {
        "list": pa.array([[1, 2, None], []], pa.list_(pa.int64())),
        "struct": pa.array([{key: Decimal("1.50"), "tags": ["a"]}, None], price),
        "map": pa.array([[(key, 1)], []], pa.map_(pa.string(), pa.int64())),
        "lists": pa.array([[[1], [2, 3]], None], pa.list_(pa.list_(pa.int64()))),
    }
    return _written(pa.table(columns), "snappy")


def _written(table: pa.Table, compression: str) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, compression=compression)
    return written.getvalue()
