"""Small artifacts of every kind that the page previews: benign ones, and such as attack who looks at them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from tests.support import previewable_arrays as arrays
from tests.support import previewable_documents as documents
from tests.support import previewable_media as media
from tests.support import previewable_parquet as parquet

PWNED = "pwned"
"""What a hostile artifact sets in the window of the page, if it can."""
SCRIPT = f"top.{PWNED}=1"
ATTACK = f'"><img src=x onerror="{SCRIPT}"><script>{SCRIPT}</script>'
POLLUTION = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}'
"""What sets `polluted` in all objects, if it can."""


OF_DATA = "data:,hostile.svg"
"""A name that some take for a URL, and the artifact for what that says instead of an image."""


class Previewable(NamedTuple):
    path: str
    content: bytes
    shows: str
    """A text of its preview; empty where the preview itself has none, as that of a picture."""


def benign() -> Iterator[Previewable]:
    """One or more of each kind."""
    yield Previewable("picture.png", media.picture("PNG"), media.PIXELS)
    yield Previewable("picture.jpg", media.picture("JPEG"), media.PIXELS)
    yield Previewable("picture.webp", media.picture("WEBP"), media.PIXELS)
    yield Previewable("drawing.svg", media.drawing('<rect width="40" height="30"/>'), media.PIXELS)
    yield Previewable("tone.wav", media.sound(), "")
    yield Previewable("film.webm", media.film(), "")
    yield Previewable("notes.txt", "Grüße, 世界\nsecond line\n".encode(), "Grüße, 世界")
    yield Previewable("train.log", b"epoch 1 loss 0.5\n" * 300, "300 lines")
    yield Previewable("README.md", documents.MARKDOWN.encode(), "Model card")
    yield Previewable("params.json", b'{"big": 12345678901234567890, "c": [0.1]}', "12345678901234567890")
    yield Previewable("metrics.ndjson", b'{"step": 1}\n{"step": 2}\n', '{"step": 2}')
    yield Previewable("conda.yaml", b"name: env\ndependencies:\n- python=3.11\n", "- python=3.11")
    yield Previewable("table.csv", b'name,said\r\nAda,"a, ""b""\r\nc"\r\nBob,\r\n', 'a, "b"')
    yield Previewable("european.csv", b"name;price\nAda;1,5\nBob;2,5\n", "separated by semicolons")
    yield Previewable("table.tsv", b"name\tage\nAda\t36\n", "36")
    for compression in ("snappy", "zstd", "gzip", "none"):
        yield Previewable(f"{compression}.parquet", parquet.rows(1000, compression), "row 49")
    yield Previewable("lz4.parquet", parquet.rows(1000, "lz4"), "not unpacked here")
    for version in ("1.0", "2.0"):
        yield Previewable(f"prefixes-{version}.parquet", parquet.with_prefixes(1000, version), "row 49")
    yield Previewable("types.parquet", parquet.many_types(), "123456789012345678901234567.89")
    yield Previewable("nested.parquet", parquet.nested(), "[1, 2, null]")
    yield Previewable(
        "plot.html", b"<!doctype html><title>Plot</title><h1>A plot</h1>", "Scripts of this page"
    )
    yield Previewable("model.safetensors", arrays.tensors(), "1,500")
    yield Previewable("array.npy", arrays.array(), "float32 (<f4, little-endian)")
    yield Previewable("records.npy", arrays.structured_array(), "datetime64[ns]")
    yield Previewable("arrays.npz", arrays.arrays(compressed=False), "weights")
    yield Previewable("packed.npz", arrays.arrays(compressed=True), "float32 (<f4, little-endian)")
    yield Previewable("MLmodel", documents.model(), "sepal length (cm)")
    yield Previewable("study.ipynb", documents.notebook("# Study", "print(1)", "1"), "Study")
    yield Previewable("model.pkl", b"\x80\x05\x95\x00\x00\x00" + bytes(range(250)), "00000000  80 05 95 00")
    yield Previewable("without_extension", b"only text\n", "only text")
    yield Previewable("empty.txt", b"", "This artifact is empty.")


def hostile() -> Iterator[Previewable]:
    """Each tries to run `SCRIPT` by its content, its names or its links; all are shown for what they are."""
    scripts = f'<script>{SCRIPT}</script><image href="x" onerror="{SCRIPT}"/>'
    quoted = '"' + ATTACK.replace('"', '""') + '"'
    page = f"<h1>Hello</h1>{ATTACK}<a href='javascript:{SCRIPT}' target=_top>x</a>"
    named = json.dumps({ATTACK: ATTACK})
    field = f"{{'descr': [({ATTACK!r}, '<f4')], 'fortran_order': False, 'shape': (3,), }}"
    yield Previewable("hostile.svg", media.drawing(scripts), media.PIXELS)
    yield Previewable(OF_DATA, media.drawing(scripts), media.PIXELS)
    yield Previewable("hostile.txt", ATTACK.encode(), ATTACK)
    yield Previewable("hostile.log", f"\x1b[31m{ATTACK}\x1b[0m\n".encode(), ATTACK)
    yield Previewable("hostile.md", documents.hostile_markdown(ATTACK, SCRIPT).encode(), ATTACK)
    yield Previewable("hostile.json", named.encode(), ATTACK)
    yield Previewable("pollution.json", POLLUTION.encode(), "__proto__")
    yield Previewable("deep.json", b"[" * 100_000 + b"]" * 100_000, "as text")
    yield Previewable("hostile.jsonl", f"{named}\n{POLLUTION}\n{ATTACK}\n".encode(), ATTACK)
    yield Previewable("hostile.yaml", f"{named}\n".encode(), SCRIPT)
    yield Previewable("hostile.csv", f"{quoted},__proto__\n{quoted},=1+1\n".encode(), ATTACK)
    yield Previewable("hostile.tsv", f"a\t__proto__\n{ATTACK[1:]}\tb\n".encode(), ATTACK[1:])
    yield Previewable("hostile.parquet", parquet.rows(3, "snappy", name=ATTACK, value=ATTACK), ATTACK)
    yield Previewable("pollution.parquet", parquet.nested("__proto__"), "__proto__: decimal(5, 2)")
    yield Previewable(
        "prefixes.parquet", parquet.endless_prefixes(), "their first values have more than 32 MiB"
    )
    yield Previewable("hostile.html", page.encode(), "Scripts of this page")
    yield Previewable("hostile.safetensors", arrays.tensors(ATTACK), ATTACK)
    yield Previewable("hostile.npy", arrays.array_with_header(field), ATTACK)
    yield Previewable("hostile.npz", arrays.zip_of(**{ATTACK: b"no array"}), ATTACK)
    yield Previewable("hostile/MLmodel", documents.model(ATTACK), ATTACK)
    yield Previewable("endless/MLmodel", documents.endless_model(), "object {k0: object {k0: object {")
    yield Previewable("repeating/MLmodel", documents.repeating_model(), "cannot be laid out")
    yield Previewable("hostile.ipynb", documents.notebook(ATTACK, ATTACK, ATTACK, html=ATTACK), ATTACK)
    yield Previewable("hostile.bin", bytes(8) + ATTACK.encode(), '"><img s')


def unreadable() -> Iterator[Previewable]:
    """Not what their names say, or made to take too much; `shows` is of the sentence that tells so."""
    code = "{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (3,), }"
    yield Previewable("damaged.png", b"\x89PNG no picture", "cannot show this image")
    yield Previewable("damaged.parquet", b"PAR1" + bytes(100) + b"PAR1", "damaged")
    yield Previewable("short.parquet", b"PAR1", "no Parquet file")
    yield Previewable("endless.parquet", b"PAR1\xff\xff\xff\x7fPAR1", "damaged")
    yield Previewable("damaged.safetensors", arrays.with_header(b"no header"), "damaged")
    yield Previewable("endless.safetensors", b"\xff" * 16, "damaged")
    yield Previewable("list.safetensors", arrays.with_header(b"[]"), "damaged")
    yield Previewable("code.npy", arrays.array_with_header(code), "damaged")
    yield Previewable("damaged.npz", b"PK\x05\x06" + b"\xff" * 18, "damaged")
