"""Deleting objects: many at once, with every refusal told, and without empty directories left."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import ArtifactError, StorageMisbehaved, StoragePermissionDenied
from app.paths import ArtifactPath
from app.storage.s3.bucket import Bucket, is_marker
from app.storage.s3.diagnosis import StoreFault

_BATCH = 1000
"""What DeleteObjects takes at most."""


def delete_tree(bucket: Bucket, directory: ArtifactPath) -> bool:
    """Deletes everything whose key lies below `directory`; what comes meanwhile may stay.

    Says whether there was anything.
    """
    found_any = False
    below = bucket.root.below(directory)
    for page in bucket.pages(below):
        keys = [found["Key"] for found in page.get("Contents", ())]
        for start in range(0, len(keys), _BATCH):
            delete_keys(bucket, keys[start : start + _BATCH], directory)
        found_any = found_any or bool(keys)
    return found_any


def delete_keys(bucket: Bucket, keys: Sequence[str], directory: ArtifactPath) -> None:
    for key in keys:
        if not key.isprintable():  # XML has no control characters
            bucket.call("DeleteObject", Key=key)
    objects = [{"Key": key} for key in keys if key.isprintable()]
    if not objects:
        return
    answer = bucket.call("DeleteObjects", Delete={"Objects": objects, "Quiet": True})
    errors = [error for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchKey"]
    if errors:
        raise _refusal(errors[0].get("Code", ""), len(errors), directory)


def _refusal(code: str, count: int, directory: ArtifactPath) -> ArtifactError:
    kind = StoragePermissionDenied if code in {"AccessDenied", "AllAccessDisabled"} else StorageMisbehaved
    error = kind(
        f"The storage did not delete {count} of the artifacts below {str(directory)!r}; the others are gone. "
        "Its operator can tell why."
    )
    hint = "; allow s3:DeleteObject below the root" if kind is StoragePermissionDenied else ""
    error.__cause__ = StoreFault(f"DeleteObjects was answered with {code[:64]!a} for {count} keys{hint}")
    return error


def prune(bucket: Bucket, directory: ArtifactPath) -> None:
    """Removes the directory and those below it, as far as nothing is in them.

    Most stores have no directories but for objects that stand for them; some keep real ones, and
    list them when they are empty. To delete one never deletes what is in it.
    """
    _prune_below(bucket, bucket.root.below(directory))
    _remove_empty(bucket, bucket.root.below(directory))


def prune_parents(bucket: Bucket, path: ArtifactPath) -> None:
    """`prune` for those that `path` lies in."""
    for parent in reversed(path.parents):
        if not _remove_empty(bucket, bucket.root.below(parent)):
            return


def _prune_below(bucket: Bucket, below: str) -> None:
    pages = bucket.pages(below, delimiter="/")
    for child in [child["Prefix"] for page in pages for child in page.get("CommonPrefixes", ())]:
        if child != below:
            _prune_below(bucket, child)
            _remove_empty(bucket, child)


def _remove_empty(bucket: Bucket, below: str) -> bool:
    """Says whether there was an empty directory, which is now gone."""
    page = next(bucket.pages(below, delimiter="/", limit=2))
    found = page.get("Contents", ())
    if len(found) != 1 or not is_marker(found[0], below) or page.get("CommonPrefixes"):
        return False
    bucket.call("DeleteObject", Key=below)
    return True
