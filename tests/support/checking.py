"""What `artifact-proxy check` says of a root."""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from app.cli import main
from tests.support.server import clean_environment


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def steps(self) -> list[str]:
        """Those that succeeded."""
        lines = self.out.splitlines()
        return [line.removeprefix("  ok: ") for line in lines if line.startswith("  ok: ")]

    @property
    def reason(self) -> str:
        """What is said of the step that failed."""
        assert self.status == 1
        assert self.err.startswith("  failed: ")
        assert self.err.count("\n") == 1
        assert "can be used" not in self.out
        return self.err

    @property
    def refusal(self) -> str:
        """What is said of a configuration that cannot be tried out at all."""
        assert (self.status, self.out) == (2, "")
        assert self.err.startswith("artifact-proxy: ")
        assert self.err.count("\n") == 1
        return self.err


def check(root: Path | str, *flags: str, **environment: str) -> Outcome:
    """The command in this process, as one of its own takes a second to start; see tests/test_check.py."""
    out, err = io.StringIO(), io.StringIO()
    told = logging.StreamHandler(err)
    told.setLevel(logging.WARNING)  # what Python prints where nobody has set logging up
    logging.getLogger().addHandler(told)
    try:
        with (
            patch.dict(os.environ, clean_environment() | environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            status = main(["check", "--default-artifact-root", str(root), *flags])
    finally:
        logging.getLogger().removeHandler(told)
    return Outcome(status, out.getvalue(), err.getvalue())
