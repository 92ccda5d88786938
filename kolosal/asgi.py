"""The ASGI application that uvicorn serves."""

import os
from typing import cast

from asgiref.typing import ASGI3Application
from django.core.asgi import get_asgi_application

from kolosal.request_ids import RequestIds


def _application() -> ASGI3Application:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kolosal.settings")
    os.environ.setdefault("KOLOSAL_WEB", "1")  # read by the settings, so it stands before they load
    django = cast(ASGI3Application, get_asgi_application())
    from kolosal.web_process import WebProcess  # needs Django set up

    return cast(ASGI3Application, RequestIds(WebProcess(django)))


application = _application()
