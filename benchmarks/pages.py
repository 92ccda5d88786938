"""``python -m benchmarks.pages``: how long pages take on the store of the settings, made large by `benchmarks.seed`.

Each page is asked for 20 times of a server of its own, as it is served, after one request that is not counted. Its
slowest query is found in this process. Prints a table, and writes ``pages.json`` under the data folder.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kolosal.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.addresses import addresses  # noqa: E402

PORT = os.environ.get("BENCH_PORT", "8198")
BASE = f"http://127.0.0.1:{PORT}"
AIM = 300.0  # milliseconds
FIRST = 65_536  # bytes of an answer that are waited for: of exports, the first


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one page, times in milliseconds. ``query`` is the slowest of ``queries``, which took ``query_ms``."""

    page: str
    address: str
    status: int
    median: float
    p95: float
    queries: int
    query_ms: float
    query: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="pages whose name has this in it")
    asked = parser.parse_args()
    console = Console()
    with signed_in() as client, _served():
        cookie = f"sessionid={client.cookies['sessionid'].value}"
        pages = [(name, address) for name, address in addresses().items() if asked.only in name]
        with console.status("Measuring …"):
            figures = [_measured(name, address, cookie, client, asked.times) for name, address in pages]
    console.print(_table(figures))
    console.print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    path = settings.DATA_DIR / "pages.json"
    path.write_text(json.dumps([asdict(row) for row in figures], indent=2))
    console.print(f"written to {path}")
    if slow := [row for row in figures if row.median > AIM or row.query_ms > AIM or row.status != 200]:
        raise SystemExit(f"over {AIM:.0f} ms, or no answer: " + ", ".join(row.page for row in slow))


@contextmanager
def signed_in() -> Iterator[Client]:
    """A client with the session of an account that may do everything, and that is gone afterwards."""
    user = User.objects.create(username=f"pages-{os.getpid()}", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    try:
        yield client
    finally:
        user.delete()


@contextmanager
def _served() -> Iterator[None]:
    environment = os.environ | {"KOLOSAL_PORT": PORT, "KOLOSAL_BIND": "127.0.0.1", "KOLOSAL_LOG_LEVEL": "WARNING"}
    server = subprocess.Popen([sys.executable, "-m", "kolosal.web"], env=environment)
    try:
        _wait_until_ready()
        yield
    finally:
        server.terminate()
        server.wait()


def _wait_until_ready() -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{BASE}/v1/health").close()  # noqa: S310
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not come up within 30 s")


def _measured(page: str, address: str, cookie: str, client: Client, times: int) -> Figures:
    status, _ = _asked(address, cookie)
    taken = sorted(_asked(address, cookie)[1] for _ in range(times))
    queries = [] if "/export/" in address else _queries(client, address)  # an export's go on to its end
    slowest: dict[str, Any] = max(queries, key=lambda query: float(query["time"]), default={"time": 0, "sql": ""})
    return Figures(
        page, address, status, statistics.median(taken), taken[-(-len(taken) * 95 // 100) - 1],
        len(queries), float(slowest["time"]) * 1000, slowest["sql"][:1000],
    )  # fmt: skip


def _asked(address: str, cookie: str) -> tuple[int, float]:
    """Status, and milliseconds to the first bytes of the answer or, if it is short, to its end."""
    request = urllib.request.Request(BASE + address, headers={"Cookie": cookie})  # noqa: S310
    started = time.perf_counter()
    with _opened(request) as answer:
        answer.read1(FIRST) if "/export/" in address else answer.read()
        return answer.status, (time.perf_counter() - started) * 1000


def _opened(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request)  # noqa: S310
    except urllib.error.HTTPError as answer:  # an answer, too; its status is in the table
        return answer


def _queries(client: Client, address: str) -> list[dict[str, str]]:
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return queries.captured_queries


def _table(figures: list[Figures]) -> Table:
    table = Table("page", "status", "median ms", "p95 ms", "queries", "slowest query ms", "slowest query")
    for row in figures:
        colour = "red" if row.median > AIM else ""
        slow = "red" if row.query_ms > AIM else ""
        median, query = f"{row.median:.0f}", f"{row.query_ms:.0f}"
        table.add_row(
            row.page, str(row.status), _in(median, colour), f"{row.p95:.0f}", str(row.queries), _in(query, slow),
            row.query[:70],
        )  # fmt: skip
    return table


def _in(text: str, colour: str) -> str:
    return f"[bold {colour}]{text}[/]" if colour else text


if __name__ == "__main__":
    main()
