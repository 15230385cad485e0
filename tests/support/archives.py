"""Archives and forms as other programs make and read them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["tar", "zip"]
Members: TypeAlias = Mapping[str, bytes] | Iterable[tuple[str, bytes]]
FORMATS: tuple[Format, ...] = ("tar", "zip")
BOUNDARY = "b"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

TREE = {
    "README.md": b"# read me\n",
    "empty": b"",
    "sub/model.bin": bytes(range(256)) * 6000,
    "sub/deeper/still/x": b"x",
    "ünï çödé/名前 & co.txt": "näh".encode(),
    "n" * 255: b"a long name",
    "a+b%20c#d?e": b"no escape",
}
"""A folder with all that folders have: large and empty files, deep ones, and names of all kinds."""


def packed(archive: Format, members: Members, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these members, in their order, by Python's own writers."""
    pairs = members.items() if isinstance(members, Mapping) else members
    written = io.BytesIO()
    if archive == "tar":
        with tarfile.open(fileobj=written, mode="w") as tar:
            for name, content in pairs:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    else:
        with zipfile.ZipFile(written, "w", compression) as file:
            for name, content in pairs:
                file.writestr(name, content)
    return written.getvalue()


def unpacked(archive: Format, content: bytes) -> dict[str, bytes]:
    """The members of an archive, which has each once, and nothing but files."""
    members: list[tuple[str, bytes]] = []
    if archive == "tar":
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for info in tar:
                file = tar.extractfile(info)
                assert file is not None, info.name
                members.append((info.name, file.read()))
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as zipped:
            assert zipped.testzip() is None
            members = [(name, zipped.read(name)) for name in zipped.namelist()]
    assert len(dict(members)) == len(members)
    return dict(members)


def part(disposition: str, content: bytes = b"x", *headers: str) -> bytes:
    """A part of a form."""
    head = "\r\n".join([f"--{BOUNDARY}", f"Content-Disposition: {disposition}", *headers, "", ""])
    return head.encode() + content + b"\r\n"


def file_part(filename: str, content: bytes = b"x") -> bytes:
    return part(f'form-data; name="file"; filename="{filename}"', content)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
