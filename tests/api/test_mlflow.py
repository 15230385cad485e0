"""What only MLflow's routes have: listings in MLflow's form, and powers that a root may lack."""

from __future__ import annotations

import httpx
import pytest

from tests.support.server import Server


@pytest.fixture(params=["/api", "/ajax-api"])
def mlflow(request: pytest.FixtureRequest, server: Server) -> str:
    return f"{server.url}{request.param}/2.0/mlflow-artifacts"


class TestListing:
    def test_gives_base_names_sorted_with_sizes(self, mlflow: str, client: httpx.Client, folder: str) -> None:
        for name, data in {"b.txt": b"12345", "empty": b"", "d/x": b"", 'q"\\é': b"1"}.items():
            client.put(
                httpx.URL(f"{mlflow}/artifacts/{folder}/").join(httpx.URL(path="./" + name)), content=data
            )
        answer = client.get(f"{mlflow}/artifacts", params={"path": folder})
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "files": [
                {"path": "b.txt", "is_dir": False, "file_size": 5},
                {"path": "d", "is_dir": True},
                {"path": "empty", "is_dir": False, "file_size": 0},
                {"path": 'q"\\é', "is_dir": False, "file_size": 1},
            ]
        }

    @pytest.mark.parametrize("path", ["{}", "{}/", "{}/d", "{}/d/"])
    def test_takes_a_trailing_slash_and_unknown_parameters(
        self, mlflow: str, client: httpx.Client, folder: str, path: str
    ) -> None:
        client.put(f"{mlflow}/artifacts/{folder}/d/x", content=b"")
        query = {"path": path.format(folder), "page_token": "ignored"}
        assert len(client.get(f"{mlflow}/artifacts", params=query).json()["files"]) == 1

    @pytest.mark.parametrize("query", ["", "?path=", "?other=x"])
    def test_without_a_path_is_of_the_root(
        self, mlflow: str, client: httpx.Client, folder: str, query: str
    ) -> None:
        client.put(f"{mlflow}/artifacts/{folder}/x", content=b"")
        files = client.get(f"{mlflow}/artifacts{query}").json()["files"]
        assert {"path": folder, "is_dir": True} in files

    def test_of_a_file_a_missing_and_an_emptied_directory_is_an_empty_object(
        self, mlflow: str, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{mlflow}/artifacts/{folder}/d/x", content=b"")
        assert client.get(f"{mlflow}/artifacts?path={folder}/d/x").json() == {}
        assert client.get(f"{mlflow}/artifacts?path={folder}/nope").json() == {}
        client.delete(f"{mlflow}/artifacts/{folder}/d/x")
        assert client.get(f"{mlflow}/artifacts?path={folder}/d").json() == {}

    @pytest.mark.parametrize(
        "query",
        ["path=../x", "path=/etc", "path=%252e%252e/x", "path=a&path=b", "path=%zz", "path=a//b", "path=%ff"],
    )
    def test_of_a_bad_path_is_400(self, mlflow: str, client: httpx.Client, query: str) -> None:
        answer = client.get(f"{mlflow}/artifacts?{query}")
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")

    def test_decodes_a_plus_as_a_space_and_an_escape_once(
        self, mlflow: str, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{mlflow}/artifacts/{folder}/a%20b/1", content=b"")
        client.put(f"{mlflow}/artifacts/{folder}/a%2520b/2", content=b"")
        listed = [
            client.get(f"{mlflow}/artifacts?path={folder}/{name}").json()["files"][0]["path"]
            for name in ("a+b", "a%20b", "a%2520b")
        ]
        assert listed == ["1", "1", "2"]


def test_uploads_and_deletions_answer_an_empty_object(mlflow: str, client: httpx.Client, folder: str) -> None:
    for method in ("PUT", "PUT", "DELETE", "DELETE"):
        answer = client.request(method, f"{mlflow}/artifacts/{folder}/a", content=b"")
        assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("path", ["/artifacts", "/artifacts/"])
def test_the_root_is_never_deleted(mlflow: str, client: httpx.Client, folder: str, path: str) -> None:
    client.put(f"{mlflow}/artifacts/{folder}/keep", content=b"x")
    assert client.delete(mlflow + path).status_code in {400, 405}
    assert client.get(f"{mlflow}/artifacts/{folder}/keep").status_code == 200


def test_a_workspace_is_refused_because_nothing_would_keep_it_apart(
    mlflow: str, client: httpx.Client, folder: str
) -> None:
    client.put(f"{mlflow}/artifacts/{folder}/a", content=b"x")
    workspace = {"X-MLFLOW-WORKSPACE": "mine"}
    for method, path in (("GET", f"/artifacts?path={folder}"), ("GET", f"/artifacts/{folder}/a"),
                         ("PUT", f"/artifacts/{folder}/a"), ("DELETE", f"/artifacts/{folder}")):  # fmt: skip
        answer = client.request(method, mlflow + path, headers=workspace, content=b"")
        assert (answer.status_code, answer.json()["error_code"]) == (400, "FEATURE_DISABLED")
    assert client.get(f"{mlflow}/artifacts/{folder}/a").content == b"x"


class TestWithoutMultipart:
    """A local root has nothing that clients could reach directly."""

    BODIES = (
        ("create", {"path": "x/model.bin", "num_parts": 2}),
        ("complete", {"path": "x", "upload_id": "u", "parts": [{"part_number": 1, "etag": "e", "url": "u"}]}),
        ("abort", {"path": "x", "upload_id": "u"}),
    )

    @pytest.mark.parametrize(("step", "body"), BODIES)
    def test_uploads_are_501_in_the_words_that_make_clients_fall_back(
        self, mlflow: str, client: httpx.Client, step: str, body: dict[str, object]
    ) -> None:
        answer = client.post(f"{mlflow}/mpu/{step}/run/artifacts", json=body)
        assert answer.status_code == 501
        assert answer.json() == {
            "error_code": "NOT_IMPLEMENTED",
            "message": "Multipart upload is not supported for the current artifact repository",
            "request_id": answer.headers["x-request-id"],
        }

    @pytest.mark.parametrize(("step", "body"), BODIES)
    def test_bad_bodies_are_refused_all_the_same(
        self, mlflow: str, client: httpx.Client, step: str, body: dict[str, object]
    ) -> None:
        url = f"{mlflow}/mpu/{step}/run"
        assert client.post(url, json={}).status_code == 400
        assert client.post(url, content=b"{}").status_code == 415
        json = {"Content-Type": "application/json"}
        assert client.post(url, content=b"{", headers=json).status_code == 400
        # What a client gives back of 10 000 parts is long.
        limit = (32 if step == "complete" else 1) * 1024 * 1024
        assert client.post(url, content=b" " * (limit + 1), headers=json).status_code == 413
        assert client.post(f"{mlflow}/mpu/{step}/..%2frun", json=body).status_code == 400

    @pytest.mark.parametrize("name", ["", "/", "d/", "..", "d/..", ".artifact-proxy", "a\n", "x" * 256])
    @pytest.mark.parametrize(("step", "body"), BODIES)
    def test_bad_names_are_refused_all_the_same(
        self, mlflow: str, client: httpx.Client, step: str, body: dict[str, object], name: str
    ) -> None:
        answer = client.post(f"{mlflow}/mpu/{step}/run", json=body | {"path": name})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")

    def test_downloads_are_501(self, mlflow: str, client: httpx.Client) -> None:
        answer = client.get(f"{mlflow}/presigned/run/x")
        assert answer.status_code == 501
        assert answer.json() == {
            "error_code": "NOT_IMPLEMENTED",
            "message": "Multipart download is not supported for the current artifact repository",
            "request_id": answer.headers["x-request-id"],
        }
        assert client.get(f"{mlflow}/presigned/%2e%2e/x").status_code == 400
