"""From ``execute-async`` to the end of a run of 3 no-op steps, over HTTP, with a worker; and memory at rest."""

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

BASE = f"http://127.0.0.1:{os.environ['KOLOSAL_PORT']}"
API = f"{BASE}/api/v1/sequential-workflows"
WORKFLOW = f"bench-{os.getpid()}-{time.time_ns()}"  # the store may be one that was measured before


def main() -> None:
    server = subprocess.Popen([sys.executable, "manage.py", "serve"], stdout=subprocess.DEVNULL)
    try:
        _wait_until_ready()
        print(json.dumps(_measure(int(sys.argv[1])) | _at_rest(server.pid)))
    finally:
        server.terminate()
        server.wait()


def _measure(times: int) -> dict[str, float]:
    steps = [
        {"step_id": step_id, "agent_id": "qa_specialist", "function_name": "echo", "parameters": {"message": "x"}}
        for step_id in "abc"
    ]
    _call(API, {"workflow_id": WORKFLOW, "steps": steps})
    spent, pickups = [], []
    for _ in range(times + 5):
        started = time.perf_counter()
        run = _call(f"{API}/{WORKFLOW}/execute-async", {})["data"]
        with urllib.request.urlopen(BASE + run["stream_url"]) as stream:  # noqa: S310  (closed by the server at the end)
            stream.read()
        spent.append((time.perf_counter() - started) * 1000)
        detail = _call(f"{BASE}/api/v1/runs/{run['execution_id']}")["data"]
        pickups.append((_moment(detail["started_at"]) - _moment(detail["created_at"])).total_seconds() * 1000)
        time.sleep(0.05)
    spent, pickups = sorted(spent[5:]), sorted(pickups[5:])
    at = int(len(spent) * 0.95)
    return {
        "run_p50_ms": statistics.median(spent),
        "run_p95_ms": spent[at],
        "pickup_p50_ms": statistics.median(pickups),
        "pickup_p95_ms": pickups[at],
    }


def _at_rest(server: int) -> dict[str, float]:
    """Memory (MiB of PSS) and processor time (percent of one core over 10 s) of each part, with nothing to do."""
    time.sleep(20)  # loops have left, caches are warm
    parts = {pid: _command(pid) for pid in _family(server)}
    web = [pid for pid, command in parts.items() if "kolosal.web" in command]
    worker = [pid for pid in parts if pid not in web]
    before = {name: sum(map(_cpu_seconds, pids)) for name, pids in (("web", web), ("worker", worker))}
    time.sleep(10)
    return {
        "web_rest_mib": sum(map(_pss_mib, web)),
        "worker_rest_mib": sum(map(_pss_mib, worker)),
        "web_rest_cpu_percent": (sum(map(_cpu_seconds, web)) - before["web"]) * 10,
        "worker_rest_cpu_percent": (sum(map(_cpu_seconds, worker)) - before["worker"]) * 10,
    }


def _family(root: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(int(entry.name)) == root:
            found += [int(entry.name), *_family(int(entry.name))]
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", *["0"] * 20]


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def _pss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
        return answer


def _wait_until_ready() -> None:
    for _ in range(300):
        try:
            _call(f"{BASE}/v1/ready")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not come up within 30 s")


main()
