"""Telling of trouble that lasts: once when it begins, once when it is over, however often it is met between."""

import logging


class Outage:
    """One thing that can be away. ``trouble`` and ``relief`` are sentences; the error follows the first."""

    def __init__(self, logger: logging.Logger, trouble: str, relief: str) -> None:
        self._logger = logger
        self._trouble = trouble
        self._relief = relief
        self._lasts = False

    def goes_on(self, error: BaseException) -> None:
        if not self._lasts:
            told = str(error).strip().partition("\n")[0]  # PostgreSQL explains over many lines
            self._logger.error("%s: %s", self._trouble, told)
        self._lasts = True

    def is_over(self) -> None:
        if self._lasts:
            self._logger.info("%s", self._relief)
        self._lasts = False
