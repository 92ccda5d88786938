"""The test client as a client of this API would be."""

from typing import Any

from django.test import Client


class Api(Client):
    """Asks as ``localhost``, posts JSON, and really nothing where nothing is given; crashes are answers."""

    def __init__(self, **headers: str) -> None:
        super().__init__(raise_request_exception=False, headers={"Host": "localhost", **headers})

    def post(  # type: ignore[override]
        self, path: str, data: Any = None, content_type: str = "application/json", **extra: Any
    ) -> Any:
        if data is None:
            return self.generic("POST", path, **extra)
        return super().post(path, data, content_type=content_type, **extra)
