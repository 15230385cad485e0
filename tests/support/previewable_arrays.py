"""Small files of tensors and arrays."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np


def tensors(name: str = "layer.weight") -> bytes:
    """As safetensors: 1500 parameters in two tensors, with metadata."""
    header = {
        "__metadata__": {"format": "pt", name: name},
        name: {"dtype": "F32", "shape": [50, 28], "data_offsets": [0, 5600]},
        "layer.bias": {"dtype": "F16", "shape": [100], "data_offsets": [5600, 5800]},
    }
    return with_header(json.dumps(header).encode(), bytes(5800))


def with_header(header: bytes, data: bytes = b"") -> bytes:
    """What begins as safetensors does, whatever its header is."""
    return struct.pack("<Q", len(header)) + header + data


def array(kind: str = "<f4") -> bytes:
    """As .npy, with the shape (3, 4)."""
    written = io.BytesIO()
    np.save(written, np.zeros((3, 4), np.dtype(kind)), allow_pickle=False)
    return written.getvalue()


def structured_array() -> bytes:
    """As .npy, of records with fields."""
    written = io.BytesIO()
    np.save(written, np.zeros(5, np.dtype([("id", "<i8"), ("at", "<M8[ns]"), ("box", "<f4", (4,))])))
    return written.getvalue()


def array_with_header(header: str) -> bytes:
    """What begins as .npy does, whatever its header is."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def arrays(*, compressed: bool) -> bytes:
    """As .npz, with the arrays `weights` and `labels`."""
    written = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(written, weights=np.zeros((3, 4), np.float32), labels=np.array(["a", "bc"]))
    return written.getvalue()


def zip_of(**members: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()
