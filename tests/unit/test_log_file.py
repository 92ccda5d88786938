"""The log file, written by real processes while it rotates."""

import logging
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kolosal.log_file import SharedLogFile

WRITER = """
import logging, os, sys
from kolosal.log_file import SharedLogFile
path, name, lines, largest = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = logging.Logger("writer")
log.addHandler(SharedLogFile(path, largest, 1000))
log.info("before the fork, by %s", name)
child = os.fork()
name += "-child" if child == 0 else ""
for number in range(lines):
    log.info("%s %d %s", name, number, "x" * (number % 97))
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""


def logger(path: Path, largest: int = 1000, files: int = 3) -> logging.Logger:
    made = logging.Logger("tests.log")
    made.addHandler(SharedLogFile(path, largest, files))
    return made


def in_order(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(folder.glob("a.log*"), key=lambda path: -int(path.suffix[1:]) if path.suffix != ".log" else 1)


def test_no_line_is_lost_or_torn_while_many_processes_rotate(tmp_path: Path) -> None:
    lines, names = 1500, ["a", "b", "c"]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "a.log", name, str(lines), "20000"])
        for name in names
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = in_order(tmp_path)
    assert len(files) > 2
    written = [line for file in files for line in file.read_text().splitlines()]
    everybody = [*names, *(f"{name}-child" for name in names)]
    for name in everybody:
        numbers = [int(line.split()[1]) for line in written if line.split()[0] == name]
        assert sorted(numbers) == list(range(lines))
    assert all(re.fullmatch(r"(before the fork, by [abc]|[abc](-child)? \d+ x*)", line) for line in written)
    # A file that was made room in early would be small: two processes have rotated for the same reason.
    assert min(file.stat().st_size for file in files[:-1]) > 19_000


def test_the_oldest_goes(tmp_path: Path) -> None:
    log = logger(tmp_path / "a.log")
    for number in range(100):
        log.info("%03d %s", number, "x" * 95)
    assert [file.name for file in in_order(tmp_path)] == ["a.log.2", "a.log.1", "a.log"]
    kept = [line[:3] for file in in_order(tmp_path) for line in file.read_text().splitlines()]
    assert kept == [f"{number:03d}" for number in range(100 - len(kept), 100)]
    assert 20 <= len(kept) <= 30


def test_one_file_is_emptied(tmp_path: Path) -> None:
    log = logger(tmp_path / "a.log", files=1)
    for number in range(25):
        log.info("%03d %s", number, "x" * 95)
    assert [file.name for file in in_order(tmp_path)] == ["a.log"]
    assert [line[:3] for line in (tmp_path / "a.log").read_text().splitlines()][-1] == "024"


def test_a_gap_that_a_killed_process_left_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.log.2").write_text("oldest\n")  # and .1 had just been moved there
    log = logger(tmp_path / "a.log", largest=10)
    log.info("first line")
    log.info("second line")
    assert [file.read_text() for file in in_order(tmp_path)] == ["oldest\n", "first line\n", "second line\n"]


def test_a_stopped_process_holds_nobody_up(tmp_path: Path) -> None:
    import fcntl

    log = logger(tmp_path / "a.log", largest=10)
    log.info("first line")
    with (tmp_path / "a.log").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as one that was stopped while it rotates
        log.info("second line")
    log.info("third line")
    assert [file.read_text() for file in in_order(tmp_path)] == ["first line\nsecond line\n", "third line\n"]


def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    log = logger(tmp_path / "a.log")
    log.info("one")
    (tmp_path / "a.log").rename(tmp_path / "elsewhere")
    log.info("two")
    assert (tmp_path / "elsewhere").read_text() == "one\n"
    assert (tmp_path / "a.log").read_text() == "two\n"


def test_others_may_not_read_it(tmp_path: Path) -> None:
    logger(tmp_path / "a.log").info("one")
    assert stat.S_IMODE(os.stat(tmp_path / "a.log").st_mode) & 0o007 == 0


def test_where_it_can_not_be_written_that_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "gone"
    log = logger(folder / "a.log")
    log.info("one")
    log.info("two")
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"The log file {folder}/a.log can't be written" in told
    folder.mkdir()
    log.info("three")
    assert (folder / "a.log").read_text() == "three\n"


def test_a_full_disk_tears_one_line_and_not_the_next(tmp_path: Path) -> None:
    code = """
import logging, resource, signal, sys
from kolosal.log_file import SharedLogFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = logging.Logger("writer")
log.addHandler(SharedLogFile(sys.argv[1], 1000000, 2))
resource.setrlimit(resource.RLIMIT_FSIZE, (15, resource.RLIM_INFINITY))
log.info("0123456789")
log.info("is cut off")
log.info("has no room")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("whole again")
"""
    path = tmp_path / "a.log"
    done = subprocess.run([sys.executable, "-c", code, path], check=True, timeout=30, capture_output=True, text=True)
    assert path.read_text() == "0123456789\nis c\nwhole again\n"
    assert done.stderr.count("can't be written") == 1
