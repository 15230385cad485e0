"""Real S3 servers on free ports of this machine: SeaweedFS, moto, or one that is given."""

from __future__ import annotations

import functools
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.ports import free_ports
from tests.support.programs import installed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START_SECONDS = 60  # it takes 1 to 3 on an idle machine
ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"  # noqa: S105 - of servers that live as long as a test run
REGION = "us-east-1"
_MISSING_FILE = "/nonexistent/aws"
_FOREIGN_VARIABLES = ("AWS_", "BOTO_", "COVERAGE_", "MOTO_", "S3_", "WEED_")
"""Settings, and the measuring of our own code, which would make others slow."""
_GRPC_OFFSET = 10_000  # what SeaweedFS adds to a port
_session_lock = threading.Lock()


@functools.cache
def _session() -> boto3.session.Session:
    """Of all clients, since what it reads takes longer than all else."""
    return boto3.session.Session()


@dataclass
class ObjectStore:
    url: str
    """The endpoint, without a final slash."""
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    process: subprocess.Popen[bytes] | None = None
    """Of a server that was started here."""
    log_file: Path | None = None
    master: str | None = None
    """Where SeaweedFS makes volumes."""

    def client(self, url: str | None = None, *, verify: str | None = None, **options: Any) -> S3Client:
        """A client of the store, or of what stands before it at `url`; `options` are of botocore's Config.

        Whoever makes many of them closes them.
        """
        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            proxies={},
        ).merge(Config(**options))
        with _session_lock:
            made: S3Client = _session().client(
                "s3",
                endpoint_url=url or self.url,
                region_name=self.region,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                verify=verify,
                config=config,
            )
        return made

    def environment(self, url: str | None = None) -> dict[str, str]:
        """What an artifact-proxy needs in order to use this store, and nothing of the user's own."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": url or self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": _MISSING_FILE,
            "AWS_SHARED_CREDENTIALS_FILE": _MISSING_FILE,
        }

    def make_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"test-{secrets.token_hex(8)}"
        with closing(self.client()) as client:
            if self.region == REGION:  # which must not be named
                client.create_bucket(Bucket=name)
            else:
                constraint: Any = {"LocationConstraint": self.region}
                client.create_bucket(Bucket=name, CreateBucketConfiguration=constraint)
        if self.master:  # the first object would otherwise wait for a volume, up to a second
            httpx.post(f"{self.master}/vol/grow?collection={name}&count=1").raise_for_status()
        return name

    def remove_bucket(self, name: str) -> None:
        """Deletes the bucket with all that is in it; one that is gone already is fine."""
        with closing(self.client()) as client, suppress(client.exceptions.NoSuchBucket):
            for uploads in client.get_paginator("list_multipart_uploads").paginate(Bucket=name):
                for upload in uploads.get("Uploads", []):
                    client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
            for objects in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                for found in objects.get("Contents", []):
                    client.delete_object(Bucket=name, Key=found["Key"])
            client.delete_bucket(Bucket=name)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file else ""


def given() -> ObjectStore | None:
    """The store that TEST_S3_ENDPOINT_URL names, with the credentials of the usual variables."""
    url = os.environ.get("TEST_S3_ENDPOINT_URL")
    if not url:
        return None
    return ObjectStore(
        url.rstrip("/"),
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        os.environ.get("AWS_DEFAULT_REGION", REGION),
    )


@contextmanager
def seaweedfs(directory: Path) -> Iterator[ObjectStore]:
    """SeaweedFS with all its data below `directory`; it is ready inside the block."""
    data = directory / "data"
    data.mkdir(parents=True)
    s3, master, filer, volume, admin, webdav = free_ports(6, twin=_GRPC_OFFSET)
    options = {
        "dir": str(data),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.port": s3,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
        "master.port": master,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "filer.port": filer,
        "volume.port": volume,
        "volume.max": 1000,  # a bucket takes several, which are as large as what is in them
        "volume.preStopSeconds": 0,
        "admin.port": admin,
        "admin.ui": "false",
        "webdav": "false",
        "webdav.port": webdav,
    }
    command = [installed("weed"), "-logtostderr=true", "mini"]
    command += [f"-{name}={value}" for name, value in options.items()]
    variables = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "HOME": str(directory),  # where a user may have settings
    }
    try:
        with _started(command, f"http://127.0.0.1:{s3}", directory, variables) as store:
            store.master = f"http://127.0.0.1:{master}"
            yield store
    finally:
        for port in (s3, master, filer, volume, admin):
            for number in (port, port + _GRPC_OFFSET):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - it knows no other
                    left.unlink(missing_ok=True)


@contextmanager
def moto(directory: Path) -> Iterator[ObjectStore]:
    """moto's server, which keeps its objects in memory; it is ready inside the block."""
    directory.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    command = [installed("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _started(command, f"http://127.0.0.1:{port}", directory, {}) as store:
        yield store


@contextmanager
def _started(
    command: list[str], url: str, directory: Path, variables: Mapping[str, str]
) -> Iterator[ObjectStore]:
    log_file = directory / "log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_VARIABLES)}
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=kept | dict(variables), cwd=directory
        )
    try:
        store = ObjectStore(url, process=process, log_file=log_file)
        _wait_until_ready(store, process)
        yield store
    finally:
        process.kill()  # nobody needs its data; asked to end, SeaweedFS takes seconds, or for ever
        process.wait()


def _wait_until_ready(store: ObjectStore, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    patience: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 5}
    with closing(store.client(**patience)) as client:
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(BotoCoreError, ClientError):
                client.list_buckets()
                return
            time.sleep(0.1)
    raise AssertionError(f"The object store did not start:\n{store.log()}")
