"""Files of a run over HTTP: what is told of them, and that a browser runs nothing of them."""

import base64
import struct
from typing import Any

import pytest
import requests

from agents.artifacts import PNG
from tests.api.client import Api
from tests.api.live import Server
from tests.api.shape import BASE, refused
from tests.factories import make_workflow, run_to_end, step
from workflows.models import Run

EVIL = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(document.cookie)</script></svg>'
PIXEL = PNG + struct.pack(">II", 1, 1) + b"\x08\x06\x00\x00\x00"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def made(*files: dict[str, Any]) -> Run:
    return run_to_end(step("a", "make", {"files": list(files)}))


def listed(api: Api, run: Run) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = api.get(f"/api/v1/runs/{run.pk}/artifacts").json()["data"]
    return answer


def in_base64(name: str, content: bytes, media_type: str = "") -> dict[str, str]:
    return {"name": name, "base64": base64.b64encode(content).decode(), "media_type": media_type}


def test_a_run_lists_its_artifacts_and_gives_each(api: Api) -> None:
    run = made({"name": "rows.csv", "content": "a,b\n"}, in_base64("raw", b"\x00\xff"))
    first, second = listed(api, run)
    assert first == {
        "id": run.artifacts.earliest("pk").pk,
        "path": "a",
        "attempt": 1,
        "name": "rows.csv",
        "media_type": "text/csv",
        "size": 4,
        "sha256": run.artifacts.earliest("pk").sha256,
        "superseded": False,
        "created_at": first["created_at"],
        "url": f"/api/v1/runs/{run.pk}/artifacts/{first['id']}",
    }
    given = api.get(second["url"])
    assert (given.status_code, given.content, given["Content-Type"]) == (200, b"\x00\xff", "application/octet-stream")
    assert given["Content-Disposition"] == 'attachment; filename="raw"'


def test_a_client_that_has_it_gets_nothing(api: Api) -> None:
    [file] = listed(api, made({"name": "a.txt", "content": "x"}))
    tag = api.get(file["url"])["ETag"]
    assert tag == f'"{file["sha256"]}"'
    again = api.get(file["url"], headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert api.get(file["url"], headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("file", "disposition"),
    [
        ({"name": "a.svg", "content": EVIL}, 'inline; filename="a.svg"'),
        (in_base64("a.png", PIXEL), 'inline; filename="a.png"'),
        (in_base64("a.png", b"<script>alert(1)</script>"), 'attachment; filename="a.png"'),
        ({"name": "a.html", "content": "<script>alert(1)</script>"}, 'attachment; filename="a.html"'),
        ({"name": "a.pdf", "content": "%PDF"}, 'attachment; filename="a.pdf"'),
        ({"name": "a.svgz", "content": "x", "media_type": "image/svg+xml-compressed"}, 'attachment; filename="a.svgz"'),
    ],
)
def test_a_browser_runs_nothing_of_it(server: Server, file: dict[str, Any], disposition: str) -> None:
    run = made(file)
    [row] = run.artifacts.all()
    url = server.url(f"/api/v1/runs/{run.pk}/artifacts/{row.pk}")
    for query in ("", "?inline=true"):
        given = requests.get(url + query, headers={"Accept": "image/png"}, timeout=10)
        assert given.status_code == 200
        assert given.content == bytes(row.content)
        assert given.headers["Content-Security-Policy"] == POLICY
        assert given.headers["X-Content-Type-Options"] == "nosniff"
        assert given.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        expected = disposition if query else disposition.replace("inline", "attachment")
        assert given.headers["Content-Disposition"] == expected


def test_a_name_of_any_script_does_not_break_the_header(server: Server) -> None:
    run = made({"name": 'ü "x"; y=1 図.txt', "content": "x"})
    [row] = run.artifacts.all()
    given = requests.get(server.url(f"/api/v1/runs/{run.pk}/artifacts/{row.pk}"), timeout=10)
    told = given.headers["Content-Disposition"]
    assert told == "attachment; filename*=utf-8''%C3%BC%20%22x%22%3B%20y%3D1%20%E5%9B%B3.txt"


def test_one_of_another_run_is_not_there(api: Api) -> None:
    one, other = made({"name": "a", "content": "x"}), made({"name": "b", "content": "x"})
    for place in (f"{one.pk}/artifacts/{other.artifacts.get().pk}", f"{one.pk}/artifacts/999999999999999"):
        assert refused(api.get(f"/api/v1/runs/{place}"), 404)["code"] == "ArtifactNotFound"
    refused(api.get(f"/api/v1/runs/{one.pk}/artifacts/1?inlin=1"), 400)
    refused(api.get("/api/v1/runs/01890000-0000-7000-8000-000000000000/artifacts"), 404)


def test_a_run_is_profiled_if_its_start_asks_for_it(api: Api) -> None:
    make_workflow(step("a", "burn", {"seconds": 0.05}))
    answer = api.post(f"{BASE}/sample/execute", {"profile": True}).json()["data"]
    run = Run.objects.get(pk=answer["execution_id"])
    assert [file["name"] for file in listed(api, run)] == ["profile.svg"]
    assert api.get(f"/api/v1/runs/{run.pk}").json()["data"]["profile"] is True
    again = api.post(f"/api/v1/runs/{run.pk}/rerun", {"profile": False}).json()["data"]
    assert Run.objects.get(pk=again["execution_id"]).profile is False


def test_a_key_with_another_profile_is_refused(api: Api) -> None:
    make_workflow(step("a"))
    address, key = f"{BASE}/sample/execute-async", {"Idempotency-Key": "k"}
    api.post(address, {"profile": True}, headers=key)
    refused(api.post(address, {}, headers=key), 409)
