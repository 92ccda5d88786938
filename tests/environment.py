"""What tests set in the environment, for all processes that they lead to: a plugin, loaded before the settings."""

import os

os.environ.setdefault("KOLOSAL_FUNCTIONS", "tests.scripted")

MARK = "KOLOSAL_TEST_PROCESS"
os.environ[MARK] = str(os.getpid())

# Several test processes side by side have a queue each.
if "KOLOSAL_BROKER_URL" in os.environ and (side := os.environ.get("PYTEST_XDIST_WORKER")):
    _address, _, _number = os.environ["KOLOSAL_BROKER_URL"].rpartition("/")
    os.environ["KOLOSAL_BROKER_URL"] = f"{_address}/{int(_number) + int(side.removeprefix('gw'))}"
