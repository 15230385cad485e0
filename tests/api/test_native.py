import httpx

from tests.support.server import Server


def test_smoke(server: Server, client: httpx.Client, folder: str) -> None:
    url = f"{server.native}/{folder}/a.txt"
    r = client.put(url, content=b"hello")
    assert r.status_code == 201, r.text
    assert client.put(url, content=b"hello").status_code == 200
    assert client.get(url).content == b"hello"
    print(client.get(f"{server.native}/{folder}/").json())
    assert client.delete(url).status_code == 204
    big = b"x" * 5_000_000
    assert client.put(url, content=big).status_code == 201
    assert client.get(url).content == big
    assert client.get(url, headers={"Range": "bytes=5-9"}).status_code == 206
