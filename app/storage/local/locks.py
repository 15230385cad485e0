"""The advisory lock (flock) by which what lives is told from what a crashed server left.

The kernel lets go of it when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl


def locked_at_once(descriptor: int) -> bool:
    """Locks the file, unless somebody else has; says whether it did. It must be open for writing: NFS
    wants that."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
