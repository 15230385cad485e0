"""P9: a real store that is stopped is 504, one that is killed is 502, and one that goes on serves all."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.front_requests import LARGE, REQUESTS, prepare
from tests.support.object_store import seaweedfs
from tests.support.s3_chain import PART
from tests.support.s3_variables import served


def test_p09_a_store_that_is_stopped_and_goes_on_and_is_killed(client: httpx.Client, tmp_path: Path) -> None:
    with seaweedfs(tmp_path / "store") as store:
        root = f"s3://{store.make_bucket()}/root"
        flags = ("--s3-part-size", str(PART), "--s3-timeout", "2")
        with served(root, store.environment(), tmp_path, *flags) as server:
            assert store.process
            prepare(client, server.native)

            def told() -> dict[str, int]:
                """The statuses of all requests that clients can make."""
                with ThreadPoolExecutor(len(REQUESTS)) as pool:
                    asked = [pool.submit(each.ask, client, server.native) for each in REQUESTS.values()]
                    return {
                        what: each.result().status_code for what, each in zip(REQUESTS, asked, strict=True)
                    }

            store.process.send_signal(signal.SIGSTOP)
            assert told() == dict.fromkeys(REQUESTS, 504)
            assert client.get(f"{server.url}/health").status_code == 200

            store.process.send_signal(signal.SIGCONT)
            for content in (b"data", LARGE):
                assert client.put(f"{server.native}/e/f", content=content).status_code in {200, 201}
                assert client.get(f"{server.native}/e/f").content == content
            assert [entry["name"] for entry in client.get(f"{server.native}/e/").json()["entries"]] == ["f"]
            assert client.delete(f"{server.native}/e").status_code == 204
            assert client.get(f"{server.native}/e/f").status_code == 404

            store.process.send_signal(signal.SIGKILL)
            store.process.wait()
            assert told() == dict.fromkeys(REQUESTS, 502)
            assert client.get(f"{server.url}/health").status_code == 200
            assert "Traceback" not in server.log()
