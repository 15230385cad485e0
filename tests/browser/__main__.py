"""Takes the pictures of the page that the documentation shows.

    python -m tests.browser docs/screenshots

They are taken of a real server with a few artifacts, at a fixed time, in windows of a fixed size.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.browser.pictures import take
from tests.support.chromium import chromium
from tests.support.programs import on_path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser")
    parser.add_argument("directory", type=Path, help="where the pictures go to")
    directory: Path = parser.parse_args().directory
    program = on_path("chromium")
    if program is None:
        parser.error("chromium is not installed; scripts/setup installs it")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="artifact-proxy-") as work, chromium(program) as browser:
        for picture in take(browser, Path(work), directory):
            print(f"{picture}: {picture.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
