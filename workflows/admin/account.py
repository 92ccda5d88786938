"""People, groups and API tokens."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.forms import (
    AdminPasswordChangeForm,
    UserChangeForm,
    UserCreationForm,
)
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from workflows import roles
from workflows.admin.base import ReadOnlyAdmin

for model in (User, Group, AuthToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg, misc]
    """Whoever is no superuser gives nobody rights that he lacks, and touches no account that has them."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    filter_horizontal = ()  # Django's two lists side by side fit no small screen

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else [*fields, "is_superuser"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _is_in(obj, roles.manageable(request.user))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_in(obj, roles.manageable(request.user))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"queryset": roles.joinable(request.user), "widget": UnfoldAdminCheckboxSelectMultipleWidget}
        return super().formfield_for_manytomany(db_field, request, **_of_rights(db_field, request, kwargs))


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """The roles are what `workflows/roles.py` declares, for superusers, too; people make groups of their own beside."""

    list_display = ["name", "is_role"]
    filter_horizontal = ()

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, group: Group | None) -> bool:
        return group is None or (group.name not in roles.ROLES and _is_in(group, roles.joinable(request.user)))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **_of_rights(db_field, request, kwargs))

    @display(description="role", boolean=True)
    def is_role(self, group: Group) -> bool:
        return group.name in roles.ROLES


def _is_in(row: models.Model | None, rows: models.QuerySet[Any]) -> bool:
    """Whether the row is among them; where no row is meant in particular, the rows alone decide nothing."""
    return row is None or rows.filter(pk=row.pk).exists()


def _of_rights(db_field: Any, request: HttpRequest | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Of permissions, a form offers those that the person may give."""
    if request is None or db_field.remote_field.model is not Permission:
        return kwargs
    return kwargs | {"queryset": roles.grantable(request.user).select_related("content_type")}


class TokenForm(forms.Form):
    """Whose token, and for how long."""

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True),
        help_text="Requests with the token may do what this person may do.",
    )
    days = forms.IntegerField(min_value=1, max_value=3650, initial=90, help_text="Days until it expires.")


@admin.register(AuthToken)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens are kept as digests: one is shown once, in the answer that made it, and stored nowhere else."""

    list_display = ["beginning", "user", "created", "expiry", "valid"]
    list_filter = ["user"]
    search_fields = ["token_key", "user__username"]
    fields = ["beginning", "user", "created", "expiry"]
    readonly_fields = ["beginning"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("knox.add_authtoken")

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        allowed = request.user.has_perm("knox.delete_authtoken")
        return allowed and (not isinstance(obj, AuthToken) or _is_in(obj.user, roles.manageable(request.user)))

    def _possible_owners(self, request: HttpRequest) -> models.QuerySet[User]:
        """A token gives its maker the rights, and the name, of its owner: others' are for those who manage them."""
        active = roles.manageable(request.user).filter(is_active=True)
        return (
            active if request.user.has_perm("auth.change_user") else active.filter(username=request.user.get_username())
        )

    @sensitive_variables("token")
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, token = TokenForm(request.POST or None), ""
        form.fields["user"].queryset = self._possible_owners(request)  # type: ignore[attr-defined]
        if form.is_valid():
            expiry = timedelta(days=form.cleaned_data["days"])
            with transaction.atomic():  # the token and its event
                token = str(AuthToken.objects.create(form.cleaned_data["user"], expiry=expiry)[1])
        context = {
            **self.admin_site.each_context(request),
            "title": "New API token",
            "opts": self.opts,
            "form": form,
            "token": token,
        }
        response = TemplateResponse(request, "admin/knox/authtoken/add.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @display(description="token")
    def beginning(self, token: AuthToken) -> str:
        return f"{token.token_key[:8]}…"

    @display(description="valid", boolean=True)
    def valid(self, token: AuthToken) -> bool:
        return token.expiry is None or token.expiry > timezone.now()
