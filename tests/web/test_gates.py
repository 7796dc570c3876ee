"""Who may come in, and what answers let a browser do."""

import contextlib
import subprocess
import sys
import time

import httpx
import pytest

TOKEN = "a token of some length"


@pytest.fixture(scope="module")
def guarded(running, tmp_path_factory):
    """A server with a token and an origin that may read."""
    tiles = tmp_path_factory.mktemp("guarded") / "tiles"
    tiles.mkdir()
    with running(tiles, "--token", TOKEN, "--origin", "https://maps.example") as found:
        yield found


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_another_address_needs_a_token(tmp_path, environment):
    command = [sys.executable, "-m", "pipeline", "serve", "--tiles", str(tmp_path), "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert "give a --token" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_token_opens(guarded):
    client = guarded.client
    for path in ("/models", "/atlases", "/jobs", "/metrics", "/docs", "/openapi.json", "/stac", "/absent"):
        refused = client.get(path)
        assert refused.status_code == 401, path
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.headers["content-type"] == "application/problem+json"
    for shown in ("wrong", TOKEN[:-1], TOKEN + "x", "ä"):
        assert client.get("/models", headers={"Authorization": f"Bearer {shown}".encode()}).status_code == 401
    assert client.get("/models", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert client.get("/models", headers=bearer(TOKEN)).status_code == 200
    for path in ("/", "/health", "/static/app/main.js"):
        assert client.get(path).status_code == 200


def test_a_browser_shows_the_token_once(guarded):
    with httpx.Client(base_url=guarded.url, trust_env=False) as browser:
        assert browser.post("/session", json={"token": "wrong"}).status_code == 401
        assert browser.post("/session", json={"token": "ä\ud800"[:1]}).status_code == 401
        begun = browser.post("/session", json={"token": TOKEN})
        assert begun.status_code == 204
        cookie = begun.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and TOKEN not in cookie
        assert browser.get("/models").status_code == 200
        browser.cookies.set("atlas_session", "guessed")
    with httpx.Client(base_url=guarded.url, trust_env=False, cookies={"atlas_session": "guessed"}) as other:
        assert other.get("/models").status_code == 401


def test_other_names_and_other_sites_are_refused(server, make_picture):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::1", ""):
        assert server.client.get("/models", headers={"Host": host}).status_code == 421, host
    for host in ("localhost:8000", "127.0.0.1", "[::1]:9"):
        assert server.client.get("/models", headers={"Host": host}).status_code == 200
    posted = {"files": ("a.png", make_picture())}
    for origin in ("https://evil.example", "null", "http://localhost.evil"):
        assert server.client.post("/classify", files=posted, headers={"Origin": origin}).status_code == 403
    own = {"Origin": server.url}
    assert server.client.post("/classify", files=posted, headers=own).status_code == 200


def test_no_other_site_may_read_unless_it_is_named(server, guarded):
    answer = server.client.get("/models", headers={"Origin": "https://maps.example"})
    assert not any(name.startswith("access-control") for name in answer.headers)
    preflight = {"Origin": "https://maps.example", "Access-Control-Request-Method": "POST"}
    assert not any(
        name.startswith("access-control") for name in server.client.options("/jobs", headers=preflight).headers
    )
    named = guarded.client.get("/models", headers={"Origin": "https://maps.example", **bearer(TOKEN)})
    assert named.headers["access-control-allow-origin"] == "https://maps.example"
    other = guarded.client.get("/models", headers={"Origin": "https://evil.example", **bearer(TOKEN)})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    "path", ["/", "/models", "/docs", "/absent", "/static/app/main.js", "/map/x/landcover/1/1/1.png"]
)
def test_every_answer_is_fenced(server, path):
    headers = server.client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy and "http" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/app/..%2f..%2fapp.py",
        "/static/..%2fapp/main.js",
        "/static/app/%2e%2e/app.py",
        "/static/elsewhere/main.js",
        "/static/app/index.html",
        "/scenes/..%2f..%2f/files/run.json",
        "/scenes/%2e%2e/files/tiles.parquet",
        "/atlases/..%2f..%2fetc/page",
        "/models/..%2f..%2fetc%2fpasswd",
        "/jobs/..%2f..%2fetc",
        "/map/..%2f..%2fetc/landcover/1/1/1.png",
    ],
)
def test_names_are_never_paths(server, path):
    assert server.client.get(path).status_code in (404, 405, 422)


@pytest.mark.parametrize(
    "name", ["../../../evil.png", "C:\\evil.png", "<img src=x onerror=alert(1)>.png", "a\x1b[31m.png"]
)
def test_names_of_uploads_are_only_shown(server, make_picture, name, results):
    import json

    body = json.dumps({"images": [{"name": name, "data": ""}, {"name": name, "data": _base64(make_picture())}]})
    answer = server.client.post("/classify", content=body, headers={"Content-Type": "application/json"})
    assert answer.headers["content-type"] == "application/json"
    (shown,) = {entry["image"] for entry in answer.json()}
    assert not any(mark in shown for mark in ("/", "\\", "\x1b"))
    assert not list(results.tiles.parent.rglob("*evil*"))


def _base64(data):
    import base64

    return base64.b64encode(data).decode()


def test_one_server_for_a_folder(server, environment):
    command = [sys.executable, "-m", "pipeline", "serve", "--tiles", str(server.tiles), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert "another server is running here" in done.stderr


def test_a_broken_list_of_jobs_is_told(tmp_path, environment):
    (tmp_path / ".app").mkdir()
    (tmp_path / ".app" / "jobs.sqlite").write_bytes(b"no database" * 100)
    command = [sys.executable, "-m", "pipeline", "serve", "--tiles", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert "the list of jobs cannot be opened" in done.stderr and "Traceback" not in done.stderr


def test_a_taken_port_is_told(server, tmp_path, environment):
    port = server.url.rpartition(":")[2]
    command = [sys.executable, "-m", "pipeline", "serve", "--tiles", str(tmp_path), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert "choose another --host or --port" in done.stderr


def test_it_ends_when_it_is_told_to(serve):
    found = serve()
    with contextlib.suppress(httpx.HTTPError):
        found.client.get("/health")
    began = time.monotonic()
    found.process.terminate()
    assert found.process.wait(20) in (0, -15)
    assert time.monotonic() - began < 20
