"""config/s3-policy.json lets artifact-proxy do its work, and nothing can be taken away from it.

moto judges every request by the policies of its sender, each by its action and its resource, with one
difference to AWS: DeleteObjects is judged as s3:DeleteObject on the bucket, where AWS judges it on every
key. So whoever may delete keys may also do that here.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from tests.support import raw
from tests.support.dockerfile import ROOT
from tests.support.object_store import ObjectStore, moto
from tests.support.round_trip import kept_and_deleted
from tests.support.server import Server, clean_environment, running
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLICY: dict[str, Any] = json.loads((ROOT / "config" / "s3-policy.json").read_text())
BUCKET = "artifacts"
FOREIGN_BUCKET = "foreign"
STEPS = {
    "s3:ListBucket": 0,
    "s3:PutObject": 1,
    "s3:GetObject": 2,
    "s3:AbortMultipartUpload": 3,
    "s3:DeleteObject": 4,
}
"""How many steps of `artifact-proxy check` succeed without an action."""
FORBIDDEN: list[tuple[str, dict[str, str]]] = [
    ("get_object", {"Bucket": FOREIGN_BUCKET, "Key": "a"}),
    ("put_object", {"Bucket": FOREIGN_BUCKET, "Key": "b"}),
    ("delete_object", {"Bucket": FOREIGN_BUCKET, "Key": "a"}),
    ("create_bucket", {"Bucket": "third"}),
    ("delete_bucket", {"Bucket": BUCKET}),
    ("list_buckets", {}),
]
LARGE = 20_000_000


@dataclass
class LockedStore:
    """moto, with users whom it lets do only what their policies say."""

    store: ObjectStore
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add_user(self, name: str, policy: dict[str, Any]) -> None:
        iam: Any = boto3.client(
            "iam",  # type: ignore[call-overload, unused-ignore]
            endpoint_url=self.store.url,
            region_name=self.store.region,
            aws_access_key_id=self.store.access_key,
            aws_secret_access_key=self.store.secret_key,
        )
        with closing(iam):
            iam.create_user(UserName=name)
            iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
            made = iam.create_access_key(UserName=name)["AccessKey"]
        self.keys[name] = (made["AccessKeyId"], made["SecretAccessKey"])

    def environment(self, user: str) -> dict[str, str]:
        access_key, secret_key = self.keys[user]
        own = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_MAX_ATTEMPTS": "1"}
        return self.store.environment() | own

    def client(self, user: str) -> S3Client:
        return ObjectStore(self.store.url, *self.keys[user]).client()

    def check(self, user: str, root: str = f"s3://{BUCKET}") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", "check", "--default-artifact-root", root],
            env=clean_environment() | self.environment(user),
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedStore]:
    with moto(tmp_path_factory.mktemp("locked")) as store:
        with closing(store.client()) as client:
            for name in (BUCKET, FOREIGN_BUCKET):
                client.create_bucket(Bucket=name)
            client.put_object(Bucket=FOREIGN_BUCKET, Key="a", Body=b"foreign")
        locked = LockedStore(store)
        everything = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
        locked.add_user("administrator", {"Version": POLICY["Version"], "Statement": everything})
        locked.add_user("proxy", _as_moto_judges(POLICY))
        for action in STEPS:
            locked.add_user(action.replace(":", "-"), _as_moto_judges(_without(action)))
        # From now on, moto asks who may do what.
        httpx.post(f"{store.url}/moto-api/reset-auth", content="0").raise_for_status()
        yield locked


@pytest.fixture(scope="module")
def allowed(locked: LockedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has the permissions of the policy, and no others."""
    log_file = tmp_path_factory.mktemp("allowed") / "log"
    with running(f"s3://{BUCKET}", environment=locked.environment("proxy"), log_file=log_file) as server:
        yield server


def test_the_policy_names_just_the_actions_that_the_documents_name() -> None:
    granted = {action for statement in POLICY["Statement"] for action in statement["Action"]}
    assert granted == set(STEPS)
    storage = (ROOT / "docs" / "storage.md").read_text()
    (sentence,) = [part for part in storage.split("\n\n") if "The permissions are" in part]
    assert granted == {word.strip("`,.") for word in sentence.split() if word.startswith("`s3:")}
    assert all(statement["Effect"] == "Allow" for statement in POLICY["Statement"])


def test_each_permission_is_for_one_bucket_or_what_is_in_it() -> None:
    resources = {action: each["Resource"] for each in POLICY["Statement"] for action in each["Action"]}
    assert resources.pop("s3:ListBucket") == [f"arn:aws:s3:::{BUCKET}"]
    assert list(resources.values()) == [[f"arn:aws:s3:::{BUCKET}/*"]] * 4


def test_with_the_policy_every_step_of_the_check_succeeds(locked: LockedStore) -> None:
    outcome = locked.check("proxy")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.count("  ok: ") == len(STEPS)


@pytest.mark.parametrize("action", STEPS)
def test_without_one_permission_the_check_fails_and_names_it(locked: LockedStore, action: str) -> None:
    outcome = locked.check(action.replace(":", "-"))
    assert outcome.returncode == 1
    assert f"allow {action} " in outcome.stderr
    assert outcome.stdout.count("  ok: ") == STEPS[action]


def test_another_bucket_cannot_be_used(locked: LockedStore) -> None:
    outcome = locked.check("proxy", f"s3://{FOREIGN_BUCKET}")
    assert outcome.returncode == 1
    assert "allow s3:ListBucket" in outcome.stderr
    with closing(locked.client("proxy")) as client:
        for call, arguments in FORBIDDEN:
            with pytest.raises(ClientError) as refused:
                getattr(client, call)(**arguments)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("size", [10, LARGE])
def test_with_the_policy_artifacts_are_stored_read_listed_and_deleted(
    allowed: Server, client: httpx.Client, folder: str, size: int
) -> None:
    with kept_and_deleted(client, allowed.native, folder, os.urandom(size)):
        url = f"{allowed.native}/{folder}/a"
        assert client.put(url, content=b"other", headers={"If-Match": '"wrong"'}).status_code == 412


def test_with_the_policy_a_directory_is_deleted(allowed: Server, client: httpx.Client, folder: str) -> None:
    for name in ("a", "b/c"):
        assert client.put(f"{allowed.native}/{folder}/{name}", content=b"x").status_code == 201
    assert client.delete(f"{allowed.native}/{folder}/").status_code == 204
    assert client.get(f"{allowed.native}/{folder}/").json()["entries"] == []


def test_with_the_policy_an_upload_that_breaks_off_leaves_nothing(
    allowed: Server, locked: LockedStore, folder: str
) -> None:
    with closing(locked.client("administrator")) as client:

        def uploads() -> list[str]:
            found = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
            return [upload["Key"] for upload in found if upload["Key"].startswith(folder)]

        with raw.connection(allowed.url) as connected:
            connected.sendall(raw.head("PUT", f"/v1/artifacts/{folder}/a", f"Content-Length: {LARGE}"))
            connected.sendall(bytes(LARGE // 2))
            wait_until(uploads, "the multipart upload")
        wait_until(lambda: not uploads(), "its end")
        assert client.list_objects_v2(Bucket=BUCKET, Prefix=folder)["KeyCount"] == 0
    assert "AccessDenied" not in allowed.log()


def _without(action: str) -> dict[str, Any]:
    """The policy without one of its actions."""
    policy = copy.deepcopy(POLICY)
    for statement in policy["Statement"]:
        statement["Action"] = [kept for kept in statement["Action"] if kept != action]
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]
    return policy


def _as_moto_judges(policy: dict[str, Any]) -> dict[str, Any]:
    """With the difference that the head of this file tells of."""
    judged = copy.deepcopy(policy)
    for statement in policy["Statement"]:
        if "s3:DeleteObject" in statement["Action"]:
            bucket = [resource.removesuffix("/*") for resource in statement["Resource"]]
            judged["Statement"].append({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": bucket})
    return judged
