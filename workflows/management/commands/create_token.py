"""``manage.py create_token USER [--days N]``: a token for the API."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from knox.models import get_token_model

DEFAULT_DAYS = 365


class Command(BaseCommand):
    """Prints the token once; only its hash is kept."""

    help = "Make a token for the API; it may do what its account may do. It is printed once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="Name of the account.")
        parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"Days that it holds ({DEFAULT_DAYS}).")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= 36_500:
            raise CommandError("--days should be from 1 to 36500")
        users = get_user_model().objects
        account = users.filter(username=options["user"]).first()
        if account is None:
            known = ", ".join(sorted(users.values_list("username", flat=True)[:20])) or "none"
            raise CommandError(f"there is no account {options['user']!r}; known: {known}")
        with transaction.atomic():  # the token and its event
            _, token = get_token_model().objects.create(user=account, expiry=timedelta(days=options["days"]))
        self.stdout.write(token)
