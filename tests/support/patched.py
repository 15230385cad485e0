"""Servers with other constants than those of operators, where a test cannot wait so long."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def patched(directory: Path, *statements: str) -> dict[str, str]:
    """The environment in which all Python processes execute the statements before they begin."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text("\n".join(statements))
    return {"PYTHONPATH": f"{directory}:{ROOT}"}
