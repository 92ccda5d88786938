"""The roles: four groups that have what this table says, after each `migrate`; and who may give which rights.

They are kept as declared, so that a role means the same on every site and new models reach it. Whoever needs other
rights makes a group of his own.
"""

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import connections, transaction
from django.db.models import Q, QuerySet

# Name → permissions (`*` for any part of a name) besides those of the role before it. Nobody may change or delete an
# event, whatever his role; nor do permissions to add or change what only the engine writes open anything.
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": ("workflows.view_*", "agents.view_*"),
    "operator": ("workflows.add_run", "workflows.change_run"),
    "editor": (
        "workflows.add_workflow",
        "workflows.change_workflow",
        "workflows.delete_workflow",
        "workflows.add_template",
        "workflows.change_template",
        "workflows.delete_template",
    ),
    "admin": ("agents.change_agent", "auth.*_user", "auth.*_group", "knox.*_authtoken"),
}


def patterns_of(role: str) -> list[str]:
    """What a role may do, with what the roles before it may."""
    names = list(ROLES)
    return [pattern for name in names[: names.index(role) + 1] for pattern in ROLES[name]]


def keep(using: str = "default", **_: Any) -> None:
    """Make the groups that are not there, and give each what is declared. After each ``migrate``."""
    if Group._meta.db_table not in connections[using].introspection.table_names():
        return
    there = list(Permission.objects.using(using).select_related("content_type"))
    with transaction.atomic(using):
        for role in ROLES:
            patterns = patterns_of(role)
            wanted = [permission for permission in there if _is_among(permission, patterns)]
            _keep_group(role, wanted, using)


def _keep_group(role: str, wanted: list[Permission], using: str) -> None:
    group = Group.objects.using(using).filter(name=role).first()
    if group is not None:
        group.permissions.set(wanted)  # which tells the audit trail, and only if something changes
        return
    # In bulk no signal is sent: what every new store has is no news.
    (group,) = Group.objects.using(using).bulk_create([Group(name=role)])
    through = Group.permissions.through
    through.objects.using(using).bulk_create(through(group=group, permission=permission) for permission in wanted)


def _is_among(permission: Permission, patterns: Collection[str]) -> bool:
    name = f"{permission.content_type.app_label}.{permission.codename}"
    return any(fnmatchcase(name, pattern) for pattern in patterns)


# --- Who may give what -----------------------------------------------------------------------------------------------


def grantable(person: Any) -> QuerySet[Permission]:
    """What the person may give to others: what he has himself; a superuser everything."""
    if person.is_superuser:
        return Permission.objects.all()
    return Permission.objects.filter(Q(user=person) | Q(group__user=person)).distinct()


def joinable(person: Any) -> QuerySet[Group]:
    """The groups to which the person may add others: those that have no right that he lacks."""
    if person.is_superuser:
        return Group.objects.all()
    beyond = Permission.objects.exclude(pk__in=grantable(person).values("pk"))
    return Group.objects.exclude(pk__in=Group.objects.filter(permissions__in=beyond).values("pk"))


def manageable(person: Any) -> QuerySet[User]:
    """The accounts that the person may change: none that may do more than he, switched off or not.

    Who could change the password of such an account, or make a token of it, would have its rights.
    """
    if person.is_superuser:
        return User.objects.all()
    beyond = Permission.objects.exclude(pk__in=grantable(person).values("pk"))
    above = User.objects.filter(Q(user_permissions__in=beyond) | Q(groups__permissions__in=beyond))
    return User.objects.filter(is_superuser=False).exclude(pk__in=above.values("pk"))
