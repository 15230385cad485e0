"""What others wrote of the page: unmodified, licensed, and named with its version."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "app/ui/static"
VENDOR = STATIC / "vendor"
SUMS = {
    "fflate-0.8.3/LICENSE": "0a1df3a083d0c010560aa342e87959c8c1070e6fd54545741f083f22d0c8b551",
    "fflate-0.8.3/browser.js": "b7ca4450b19559a1d50eb381adcee94b82449674be4cd17789d9beba7e6122a1",
    "fzstd-0.1.1/LICENSE": "62249119bb7df6e54300f37a37145c26a6d4420410aac8881a119c5b427cf751",
    "fzstd-0.1.1/index.mjs": "1a901fc5a58c349bbdb4f2aa1e688637ef56891ec58243a9f0cd863166b0d2a4",
    "hyparquet-1.31.5/LICENSE": "6e19a315e03f36020f37dedcb1dd93b4eba6ebfd94ccdd13ec55b940776fb55e",
    "hyparquet-1.31.5/src/assemble.js": "1f793bcdb8b82926fbd79d27023656ad63ec4cd6b856b2b4813d0e1fc79520e8",
    "hyparquet-1.31.5/src/bloom.js": "5176840840f50bfb5b5d2dac7a6e76b86bfa3e8a6f56dee6f1dcaaa849678c41",
    "hyparquet-1.31.5/src/column.js": "fcd0b7c8dab543affa29b8fbc6a2552ac3c9442fff053479e41cbf42118097ad",
    "hyparquet-1.31.5/src/constants.js": "b9e1a6a5c03018bd17f8faf05b39fe1abeacaff486f472750db51a5a14158702",
    "hyparquet-1.31.5/src/convert.js": "584ce5c1779f43073100645964fa3fcfe4bdd9898e474a7b0ad326e75e44b342",
    "hyparquet-1.31.5/src/datapage.js": "a303c037e5c78dbd893444301e2a712b429c788c6dde524d7020e543619eb6be",
    "hyparquet-1.31.5/src/delta.js": "46bcef16cb565b3e1bb6c778beed35ab05db1b15481db1764591f1d6305248df",
    "hyparquet-1.31.5/src/encoding.js": "bdf777d370fc2d70b630cae537318308694743aae696c93dd5fa6b944a75d496",
    "hyparquet-1.31.5/src/filter.js": "107f00f3956f3f89f6d2c45d606229e2707a5e5bff3bafe7a9e0e400fd14f017",
    "hyparquet-1.31.5/src/geoparquet.js": "3be4dc1294c2a6f441411acb631f4ccecc3c42447c3c5bb55c0def2b23703b05",
    "hyparquet-1.31.5/src/index.js": "9a61c1600b11d650609ea664c8de6e290046ac5045870cc00bfae956d3adcb86",
    "hyparquet-1.31.5/src/indexes.js": "a1532b7901db4faa9924478f1b7faea939b73400370d47818b23f8833103a7f5",
    "hyparquet-1.31.5/src/metadata.js": "f85823d030eb81606c12b609eaab0f6c34dbea24a8250d2fb7afddc6f1b54329",
    "hyparquet-1.31.5/src/plain.js": "39761e015fdba42d4eed6e182f3fa383891be918ba6c1321155ccbc804de7308",
    "hyparquet-1.31.5/src/plan.js": "1b17c0589803189540a9a2d6ec7e5cfe5a6e9a48e9e10ca8292b4f27115c6a8b",
    "hyparquet-1.31.5/src/query.js": "7cc68f88ceff6438e99cc329ac6aca50ede889fdd1cda26e927ee10381315d76",
    "hyparquet-1.31.5/src/read.js": "6e2b518ce6e5dfa3d6da96b410930c064864547d1a97468e1b4c9ad5771ff5ac",
    "hyparquet-1.31.5/src/rowgroup.js": "1ae9f1fe30435828cf32fce05eeb516be490a8e13dd1a768fb37a4809f74775a",
    "hyparquet-1.31.5/src/scan.js": "fd10854efdaa9a7dea4ff08a62b80583750fa364f096bec5afe632b3fe88a3d2",
    "hyparquet-1.31.5/src/schema.js": "7e6c8d1cd0e369cab4db8571a145d02e7b2bd60aab9c59dd0f7933f645471cef",
    "hyparquet-1.31.5/src/snappy.js": "e80c24e127874e562d47d685b9712b8067ce76354e24883d0a8badacfd16b8a6",
    "hyparquet-1.31.5/src/thrift.js": "70e89035a454b241fd1dc3b2218edfad2cb535b11321a4ccdde83b20adea05f8",
    "hyparquet-1.31.5/src/utils.js": "c231c08de8c04e76ebc8faa7a388d849783a375ddd3aa96ae3c428c0bfbe990e",
    "hyparquet-1.31.5/src/variant.js": "2937226366f421e605ed46277f77d0e8e062de6d0cc0aaf57256a3a26d1c5ce2",
    "hyparquet-1.31.5/src/wkb.js": "0328003b13e78a07482c989fe141e61f9e6075b2ff05c44be287fa39328bb37a",
    "hyparquet-1.31.5/src/xxhash.js": "f51da25c070700500243d954bf5bebff0888d507e3019068c276e3206a51fabe",
    "js-yaml-5.5.0/LICENSE": "a07bc24468b9654ce76a547d47a2db282d07733b715db4c73a98bd63961f9550",
    "js-yaml-5.5.0/js-yaml.mjs": "213470960d9c2ff1d01f9164e5017749bfc383d8a6ebb8683f35c76e8c6d052b",
    "marked-18.2.1/LICENSE": "8e3a3f82f59a60958f56ca08f445647c32a4733dc7ca6c2c46f6eb898471ab9c",
    "marked-18.2.1/marked.esm.js": "5371fea86fd0656b4fc7bea7c94c663109d82789b69433eeee78d42895aa44de",
}
DIRECTORIES = sorted({name.split("/")[0] for name in SUMS})
README = (VENDOR / "README.md").read_text("utf-8")


def test_every_vendored_file_is_the_one_that_was_published() -> None:
    files = [path for path in VENDOR.rglob("*") if path.is_file() and path != VENDOR / "README.md"]
    found = {path.relative_to(VENDOR).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == SUMS


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_vendored_library_has_its_licence_and_is_told_of(directory: str) -> None:
    name, version = directory.rsplit("-", 1)
    assert "Permission is hereby granted" in (VENDOR / directory / "LICENSE").read_text("utf-8")
    assert re.search(rf"^\| \[{re.escape(name)}\]\(\S+\) \| {re.escape(version)} \| MIT \| ", README, re.M)
    assert re.search(rf"^\| {re.escape(directory)}\.tgz \| `sha512-[A-Za-z0-9+/]{{86}}==` \|$", README, re.M)


def test_the_page_uses_every_vendored_library_in_the_version_that_is_there() -> None:
    sources = [path for path in STATIC.rglob("*.js") if VENDOR not in path.parents]
    used = {name for path in sources for name in re.findall(r"/vendor/([^/\"]+)/", path.read_text("utf-8"))}
    assert used == set(DIRECTORIES)


def test_nothing_of_the_page_is_loaded_from_elsewhere_or_made_from_text() -> None:
    """What no script of the page may do is not in what others wrote either."""
    text = "\n".join(path.read_text("utf-8") for path in STATIC.rglob("*.*js"))
    assert not re.findall(r"""^(?:import|export|\})[^\n]*\bfrom\s*["'](?![./])""", text, re.M)
    assert not re.findall(
        r"\beval\(|\bnew Function\(|\.(?:inner|outer)HTML\b|insertAdjacentHTML|\bWebAssembly\.", text
    )
