"""The media type of an artifact, guessed from its extension as MLflow does."""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes
from os.path import splitext

TEXT_EXTENSIONS = frozenset(
    {"txt", "log", "err", "cfg", "conf", "cnf", "cf", "ini", "properties", "prop", "hocon", "toml", "yaml"}
    | {"yml", "xml", "json", "js", "py", "py3", "csv", "tsv", "md", "rst", "ipynb", "MLmodel", "mlproject"}
)
"""What MLflow shows as text: extensions, and whole names that have none."""

# Python's own table: the system's would make the answer depend on the machine.
_TYPES = MimeTypes()


@lru_cache(maxsize=4096)
def media_type(name: str) -> str:
    extension = splitext(name)[1].removeprefix(".")
    if (extension or name) in TEXT_EXTENSIONS:
        return "text/plain"
    # What begins like a URL is none: that of data tells its own type, and could so belie its extension.
    return _TYPES.guess_type(name.replace(":", "_"))[0] or "application/octet-stream"
