"""An installation without the extra for S3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.server import clean_environment

WITHOUT_BOTO3 = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"boto3", "botocore", "s3transfer"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from app.cli import main
sys.exit(main(sys.argv[1:]))
"""


class TestWithoutTheExtra:
    @staticmethod
    def outcome(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_BOTO3, *arguments],
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=False,
        )

    def test_a_root_in_s3_brings_the_command_that_installs_it(self) -> None:
        outcome = self.outcome("check", "--default-artifact-root", "s3://bucket/path")
        assert (outcome.returncode, outcome.stdout) == (2, "")
        assert outcome.stderr == (
            "artifact-proxy: --default-artifact-root='s3://bucket/path' cannot be used: boto3 is not "
            "installed; install the extra: pip install 'artifact-proxy[s3]'.\n"
        )

    def test_a_local_root_does_not_miss_it(self, tmp_path: Path) -> None:
        outcome = self.outcome("check", "--default-artifact-root", str(tmp_path / "root"))
        assert (outcome.returncode, outcome.stderr) == (0, "")
