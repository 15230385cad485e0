"""`artifact-proxy check`: it tries out all that a server will do, and says in plain words what fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.checking import Outcome, check
from tests.support.interposer import interposing
from tests.support.interposer_actions import answer, replace_body
from tests.support.object_store import ObjectStore
from tests.support.private_authority import private_authority
from tests.support.server import clean_environment

ON_DISK = ["list", "write", "read back", "delete"]
IN_S3 = ["list", "write", "read back", "begin and abort a multipart upload", "delete"]


class TestProcess:
    def test_ends_with_the_status_and_says_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"x")
        for root in (tmp_path / "root", tmp_path / "a"):
            done = subprocess.run(
                [sys.executable, "-m", "app", "check", "--default-artifact-root", root],
                capture_output=True,
                text=True,
                env=clean_environment(),
                check=False,
            )
            assert Outcome(done.returncode, done.stdout, done.stderr) == check(root)


class TestLocalRoot:
    def test_that_can_be_used_is_made_and_nothing_is_left_in_it(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        outcome = check(root)
        assert (outcome.status, outcome.err) == (0, "")
        shown = "".join(f"  ok: {step}\n" for step in ON_DISK)
        assert outcome.out == f"Checking {root.as_uri()}\n{shown}The artifact root can be used.\n"
        assert os.listdir(root) == [".artifact-proxy"]
        assert os.listdir(root / ".artifact-proxy" / "staging") == []

    def test_that_is_only_read_is_not_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"x")
        outcome = check(tmp_path, "--read-only")
        assert (outcome.status, outcome.steps) == (0, ["list"])
        assert os.listdir(tmp_path) == ["a"]

    def test_that_is_missing_with_its_parent_is_explained(self, tmp_path: Path) -> None:
        assert "create or mount it first" in check(tmp_path / "missing" / "root").refusal
        assert os.listdir(tmp_path) == []

    def test_has_no_presigned_urls(self, tmp_path: Path) -> None:
        assert "--presign=True cannot be used: " in check(tmp_path / "root", "--presign").refusal

    @pytest.fixture
    def mounted(self, tmp_path: Path, need_root: None) -> Iterator[Callable[[str], Path]]:
        """Mounts a file system in memory with the options given."""
        place = tmp_path / "mount"
        place.mkdir()

        def mount(options: str) -> Path:
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
            return place

        yield mount
        subprocess.run(["umount", place], check=True)

    def test_that_cannot_be_written_is_explained(self, mounted: Callable[[str], Path]) -> None:
        message = check(mounted("ro,size=1m")).refusal
        assert "Read-only file system" in message
        assert "correct it, its owner or its mode" in message

    def test_that_has_no_room_fails_at_the_first_write(self, mounted: Callable[[str], Path]) -> None:
        root = mounted("size=64k")
        (root / "large").write_bytes(bytes(64 * 1024))
        outcome = check(root)
        assert "No space left on device" in outcome.reason
        assert outcome.steps == ["list"]
        assert os.listdir(root / ".artifact-proxy" / "staging") == []


@dataclass
class Place:
    """A root in a bucket, and what is in the store."""

    store: ObjectStore
    bucket: str

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}/some/root"

    def check(
        self, *flags: str, root: str | None = None, url: str | None = None, **variables: str
    ) -> Outcome:
        """A variable that is empty is as good as none."""
        # A failure is not sent again and again, which takes seconds and changes nothing here.
        environment = self.store.environment(url) | {"AWS_MAX_ATTEMPTS": "1"} | variables
        outcome = check(root or self.root, *flags, **environment)
        for secret in {self.store.secret_key, environment["AWS_SECRET_ACCESS_KEY"]} - {""}:
            assert secret not in outcome.out + outcome.err
        return outcome

    def contents(self) -> list[str]:
        """The keys of all objects, and of uploads that are not finished."""
        with closing(self.store.client()) as client:
            objects = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
            uploads = client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [found["Key"] for found in objects] + [found["Key"] for found in uploads]


@pytest.fixture
def place(object_store: ObjectStore, bucket: str) -> Place:
    return Place(object_store, bucket)


class TestRootInS3:
    def test_that_can_be_used_has_all_steps_and_nothing_is_left(self, place: Place) -> None:
        outcome = place.check()
        assert (outcome.status, outcome.err) == (0, "")
        shown = "".join(f"  ok: {step}\n" for step in IN_S3)
        assert outcome.out == f"Checking {place.root}\n{shown}The artifact root can be used.\n"
        assert place.contents() == []

    def test_that_is_only_read_is_only_listed(self, place: Place) -> None:
        with interposing(place.store.url) as interposer:
            outcome = place.check("--read-only", url=interposer.url)
            assert interposer.operations() == ["ListObjectsV2"]
        assert (outcome.status, outcome.steps) == (0, ["list"])

    def test_is_tried_out_with_the_arguments_of_uploads(self, place: Place) -> None:
        arguments = json.dumps({"Metadata": {"team": "blue"}, "CacheControl": "no-store"})
        with interposing(place.store.url) as interposer:
            outcome = place.check(url=interposer.url, MLFLOW_S3_UPLOAD_EXTRA_ARGS=arguments)
            for operation in ("PutObject", "CreateMultipartUpload"):
                [request] = interposer.requests(operation)
                assert request.headers["x-amz-meta-team"] == "blue"
                assert request.headers["cache-control"] == "no-store"
        assert (outcome.status, outcome.steps) == (0, IN_S3)

    def test_with_presigned_urls_can_be_used_too(self, place: Place) -> None:
        assert place.check("--presign", "--presign-redirect-above", "1").status == 0

    def test_whose_bucket_is_missing_says_so(self, place: Place) -> None:
        reason = place.check(root="s3://no-such-bucket-here/path").reason
        assert "the bucket does not exist; create it, or correct its name" in reason

    def test_with_an_unknown_key_says_so(self, place: Place) -> None:
        reason = place.check(AWS_ACCESS_KEY_ID="AKIAUNKNOWNUNKNOWN12").reason
        assert "the store does not know the access key" in reason
        assert "AWS_ACCESS_KEY_ID" in reason

    def test_with_a_wrong_secret_says_so_and_does_not_repeat_it(self, place: Place) -> None:
        reason = place.check(AWS_SECRET_ACCESS_KEY="Zx81-is-not-it").reason  # noqa: S106 - it is not it
        assert "the secret key is wrong" in reason

    def test_without_credentials_says_where_they_belong(self, place: Place) -> None:
        reason = place.check(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="").reason
        assert "no credentials were found" in reason
        for remedy in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "role"):
            assert remedy in reason

    def test_with_half_of_the_credentials_says_which_is_missing(self, place: Place) -> None:
        assert "missing: AWS_SECRET_ACCESS_KEY" in place.check(AWS_SECRET_ACCESS_KEY="").refusal

    def test_whose_endpoint_nobody_listens_at_says_so(self, place: Place) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            reason = place.check(url=url).reason
        assert f"no connection to {url}" in reason
        assert "is the endpoint right?" in reason

    def test_whose_endpoint_is_silent_says_so(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            reason = place.check("--s3-timeout", "1", url=url).reason
        assert f"{url} did not answer in time; see --s3-timeout" in reason

    def test_with_an_authority_that_nobody_knows_needs_its_certificate(
        self, place: Place, tmp_path: Path
    ) -> None:
        authority = private_authority(tmp_path)
        with interposing(place.store.url, authority.tls) as interposer:
            reason = place.check(url=interposer.url).reason
            assert f"no trustworthy TLS connection to {interposer.url}" in reason
            assert "AWS_CA_BUNDLE (--s3-ca-bundle)" in reason
            assert interposer.requests() == []
            known = place.check(url=interposer.url, AWS_CA_BUNDLE=str(authority.ca_file))
            assert (known.status, known.steps) == (0, IN_S3)
            ignored = place.check("--s3-ignore-tls", url=interposer.url)
            assert (ignored.status, ignored.steps) == (0, IN_S3)
            assert "certificate is not checked" in ignored.err
        assert place.contents() == []

    def test_that_speaks_no_tls_says_so(self, place: Place) -> None:
        url = place.store.url.replace("http://", "https://")
        if url == place.store.url:
            pytest.skip("the store that is given speaks TLS")
        assert f"no trustworthy TLS connection to {url}" in place.check(url=url).reason

    @pytest.mark.parametrize(
        ("operation", "permission", "done"),
        [
            ("ListObjectsV2", "s3:ListBucket", 0),
            ("PutObject", "s3:PutObject", 1),
            ("GetObject", "s3:GetObject", 2),
            ("CreateMultipartUpload", "s3:PutObject", 3),
            ("AbortMultipartUpload", "s3:AbortMultipartUpload", 3),
        ],
    )
    def test_without_a_permission_says_which_and_leaves_no_probe(
        self, place: Place, operation: str, permission: str, done: int
    ) -> None:
        with interposing(place.store.url) as interposer:
            interposer.on(operation, answer(403, "AccessDenied", "the store's own text"), times=None)
            outcome = place.check(url=interposer.url)
        assert f"{operation} was answered with 403 AccessDenied" in outcome.reason
        assert f"allow {permission} for the root's bucket and path" in outcome.reason
        assert "own text" not in outcome.reason
        assert outcome.steps == IN_S3[:done]
        with closing(place.store.client()) as client:
            assert client.list_objects_v2(Bucket=place.bucket).get("Contents", []) == []

    def test_that_may_not_delete_says_so(self, place: Place) -> None:
        with interposing(place.store.url) as interposer:
            for operation in ("DeleteObject", "DeleteObjects"):
                interposer.on(operation, answer(403, "AccessDenied"), times=None)
            outcome = place.check(url=interposer.url)
        assert "allow s3:DeleteObject" in outcome.reason
        assert outcome.steps == IN_S3[:-1]

    def test_that_may_not_delete_and_is_told_so_for_the_key_alone_says_so(self, place: Place) -> None:
        refusal = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>"
        with interposing(place.store.url) as interposer:
            interposer.on("DeleteObjects", replace_body(200, refusal), times=None)
            outcome = place.check(url=interposer.url)
        assert "allow s3:DeleteObject" in outcome.reason
        assert outcome.steps == IN_S3[:-1]

    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [
            (400, "AuthorizationHeaderMalformed", "another region eu-west-3; set AWS_DEFAULT_REGION"),
            (403, "RequestTimeTooSkewed", "this machine's clock differs from the store's; set it"),
            (400, "ExpiredToken", "the session token has expired"),
        ],
    )
    def test_that_is_refused_for_another_reason_brings_the_remedy(
        self, place: Place, status: int, code: str, words: str
    ) -> None:
        with interposing(place.store.url) as interposer:
            refused = answer(status, code, headers={"x-amz-bucket-region": "eu-west-3"})
            interposer.on("ListObjectsV2", refused, times=None)
            assert words in place.check(url=interposer.url).reason

    def test_with_an_argument_of_uploads_that_cannot_be_sent_names_the_setting(self, place: Place) -> None:
        outcome = place.check(MLFLOW_S3_UPLOAD_EXTRA_ARGS='{"Metadata": {"team": "Zx81-\u00e9"}}')
        assert "--s3-upload-extra-args" in outcome.reason
        assert "Zx81" not in outcome.reason
        assert outcome.steps == ["list"]
        assert place.contents() == []
