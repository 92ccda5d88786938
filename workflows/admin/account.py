"""People, groups and API tokens."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
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

from workflows.admin.base import ReadOnlyAdmin

for model in (User, Group, AuthToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg, misc]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass


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
        return request.user.has_perm("knox.delete_authtoken")

    @sensitive_variables("token")
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form, token = TokenForm(request.POST or None), ""
        if not request.user.is_superuser:  # a token of somebody else would give its maker their rights
            own = User.objects.filter(username=request.user.get_username())
            form.fields["user"].queryset = own  # type: ignore[attr-defined]
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
