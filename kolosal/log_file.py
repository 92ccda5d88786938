"""The log file that all processes of a machine write: rotated by size, no line lost or torn.

Nobody waits for anybody, also not for a process that was stopped: to write, no lock is taken. A line is one `write`
to a file opened for appending, which the kernel puts at the end whole. Only who rotates holds a lock, that of the file
which is the newest; the others see at their next line that the name leads elsewhere, and open it anew. A line that was
on its way meanwhile stands in the file that has just become the second. So a file may grow beyond its size while
whoever rotates is held up.
"""

import fcntl
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

OPENED = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
MODE = 0o640


class SharedLogFile(logging.Handler):
    """Appends records to ``path``; from ``largest`` bytes on it becomes ``path.1``, and so on up to ``files`` files."""

    def __init__(self, path: str | Path, largest: int, files: int) -> None:
        super().__init__()
        self._path = Path(path)
        self._largest = largest
        self._files = files
        self._descriptor = -1
        self._torn = False  # the last line was cut short, by a full disk
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
            self._write(line)
            self._failed = False
        except OSError as error:
            self._tell(error)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        super().close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, line: bytes) -> None:
        if self._is_moved():
            self._open()
        size = os.fstat(self._descriptor).st_size
        if size and size + len(line) > self._largest and _rotate(self._path, size, self._files):
            self._open()
        line = b"\n" + line if self._torn else line
        self._torn = os.write(self._descriptor, line) < len(line)

    def _open(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._descriptor = os.open(self._path, OPENED, MODE)

    def _is_moved(self) -> bool:
        return self._descriptor < 0 or not _leads_to(self._path, self._descriptor)

    def _tell(self, error: OSError) -> None:
        """Once, until it works again; the console has the lines meanwhile."""
        if not self._failed and sys.stderr is not None:
            print(f"The log file {self._path} can't be written: {error}", file=sys.stderr)
        self._failed = True


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        found, opened = os.stat(path), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (found.st_ino, found.st_dev) == (opened.st_ino, opened.st_dev)


def _rotate(path: Path, size: int, files: int) -> bool:
    """Whether the newest file has made room; not if another is at it, or was before.

    The file is opened once more: a lock belongs to what was opened, and forked processes share that.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _leads_to(path, descriptor) and os.fstat(descriptor).st_size >= size:
                _shift(path, files)
                return True
        finally:
            os.close(descriptor)
    return False


def _shift(path: Path, files: int) -> None:
    """The newest last: until then nobody else may rotate, and whoever is killed here leaves a gap and no doubt."""
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, files))]
    free = next((number for number, name in enumerate(names) if number and not name.exists()), files - 1)
    for number in range(free, 0, -1):
        os.replace(names[number - 1], names[number])
    if files == 1:
        path.unlink()
