"""django-q2 alone with Redis: chains of 3 no-op tasks, one at a time and 500 at once, two worker processes."""

import json
import os
import subprocess
import sys
import time
import uuid
from urllib.parse import urlsplit

import django
from chains import measured
from django.conf import settings

REDIS = urlsplit(os.environ["PEERS_REDIS_URL"])

if not settings.configured:  # else this is the module that workers find `step` in
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django_q"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS.geturl()}},
        SECRET_KEY=os.environ.setdefault("PEERS_KEY", uuid.uuid4().hex),  # that of the cluster, too
        USE_TZ=True,
        Q_CLUSTER={
            "name": "peer",
            "workers": 2,
            "timeout": 60,
            "retry": 120,
            "scheduler": False,
            "log_level": "ERROR",
            "cached": 600,  # what tasks come to, in the cache
            "redis": {"host": REDIS.hostname, "port": REDIS.port, "db": int(REDIS.path.strip("/") or 0)},
        },
    )
    django.setup()

from django_q.cluster import Cluster  # noqa: E402
from django_q.tasks import Chain  # noqa: E402


def step() -> str:
    return "x"


def started() -> Chain:
    chain = Chain(cached=True)
    for _ in range(3):
        chain.append("django_q_chain.step")
    chain.run()
    return chain


def wait_for(chain: Chain) -> None:
    until = time.monotonic() + 60
    while len(chain.result() or ()) < 3:
        if time.monotonic() > until:
            raise TimeoutError("a chain did not end within 60 s")
        time.sleep(0.001)


def main() -> None:
    cluster = subprocess.Popen([sys.executable, __file__, "cluster"])  # noqa: S603
    try:
        figures = measured(started, wait_for, int(sys.argv[1]))
    finally:
        cluster.terminate()
        cluster.wait()
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:] == ["cluster"]:
        Cluster().start()
    else:
        main()
