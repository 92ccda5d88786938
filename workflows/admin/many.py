"""Many workflows from one template: the rows of a CSV file, what is wrong with each, and then a batch."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from workflows import template_batches, templates
from workflows.admin.base import actor_of, readable
from workflows.definitions import read_json
from workflows.errors import DefinitionError, InputInvalid
from workflows.models import Template, Workflow
from workflows.template_batches import MOST_ROWS

MOST_BYTES = 5 * 1024 * 1024
CHECKED = 500
"""Rows that are tried before the batch begins; the others are found wrong, if they are, by the workers."""

ID = "workflow_id"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """A row of the file, from 1, the id that its workflow would have, and what is wrong with it."""

    number: int
    workflow_id: str
    parameters: list[tuple[str, str]]
    problems: list[str]


class ManyForm(forms.Form):
    """Either a file, or the rows of one that was looked at: a JSON list of `{workflow_id?, parameters}`."""

    file = forms.FileField(
        required=False,
        label="CSV file",
        help_text="A header with names of parameters, and workflow_id where each is to have one of its own; then a row "
        "for each workflow. Empty cells take the template's default; lists and objects are written as JSON.",
    )
    rows = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, schema: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._schema = schema

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if upload := values.get("file"):
            values["rows"] = self._read(upload)
        elif values.get("rows"):
            values["rows"] = _sent_back(values["rows"])
        elif not self.errors:
            self.add_error("file", "Choose a file.")
        return values

    def _read(self, upload: Any) -> list[Row]:
        if upload.size > MOST_BYTES:
            raise forms.ValidationError(
                {"file": f"The file has {upload.size:,} bytes; at most {MOST_BYTES:,} are read."}
            )
        try:
            text = upload.read().decode("utf-8-sig")
            rows = list(_rows(text, self._schema))
        except UnicodeDecodeError:
            raise forms.ValidationError({"file": "The file is not UTF-8: save it as “CSV UTF-8”."}) from None
        except (csv.Error, ValueError) as error:
            raise forms.ValidationError({"file": str(error)}) from None
        if not 1 <= len(rows) <= MOST_ROWS:
            raise forms.ValidationError({"file": f"The file has {len(rows):,} rows; 1 to {MOST_ROWS:,} are taken."})
        return rows


def _rows(text: str, schema: Mapping[str, Any]) -> Iterator[Row]:
    """Raises ValueError with the line where a row does not fit the header."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = [name.strip() for name in reader.fieldnames or []]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("line 1: the header has an empty name, or one twice")
    reader.fieldnames = names
    properties = schema.get("properties", {})
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num}: {len(names)} cells are expected, as the header has")
        values = {
            name: _value(cell, properties.get(name, {})) for name, cell in row.items() if cell != "" and name != ID
        }
        yield {"parameters": values, **({ID: row[ID]} if row.get(ID) else {})}


def _value(cell: str, schema: Any) -> Any:
    """What a cell stands for: text where that may be, else JSON; what is no JSON is left to the checks."""
    kind = schema.get("type", "string") if isinstance(schema, dict) else "string"
    if "string" in (kind if isinstance(kind, list) else [kind]):
        return cell
    try:
        return json.loads(cell.lower() if cell.lower() in ("true", "false") else cell)
    except ValueError:
        return cell


def make_many(request: HttpRequest, model_admin: "ModelAdmin[Template]", template: Template) -> HttpResponse:
    """Show what the rows of a file would make; with `begin`, have the workers make it."""
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = ManyForm(*sent, schema=template.parameters)
    rows: list[Row] = form.cleaned_data["rows"] if sent and form.is_valid() else []
    if rows and "begin" in request.POST:
        batch = template_batches.begin(template, rows, actor=actor_of(request.user))
        return HttpResponseRedirect(reverse("admin:workflows_templatebatch_change", args=[batch.pk]))
    checked = _checked(template, rows[:CHECKED])
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Make many workflows from {template.name}",
        "opts": model_admin.opts,
        "template": template,
        "form": form,
        "rows": rows,
        "sent_back": json.dumps(rows),
        "checked": checked,
        "wrong": sum(bool(row.problems) for row in checked),
        "names": list(template.parameters.get("properties", {})),
    }
    return TemplateResponse(request, "admin/workflows/template/many.html", context)


def _sent_back(text: str) -> list[Row]:
    try:
        rows = read_json(text).value
    except DefinitionError as error:
        raise forms.ValidationError(str(error)) from None
    fits = isinstance(rows, list) and 1 <= len(rows) <= MOST_ROWS and all(map(_is_row, rows))
    if not fits:
        raise forms.ValidationError("These are no rows of a file: choose it again.")
    return list(rows)


def _is_row(row: Any) -> bool:
    fits = isinstance(row, dict) and not set(row) - {"parameters", ID}
    return fits and isinstance(row.get("parameters"), dict) and isinstance(row.get(ID, ""), str)


def _checked(template: Template, rows: list[Row]) -> list[Checked]:
    planned = [_planned(template, row) for row in rows]
    same = Workflow.objects.active().filter(workflow_id__in=[found for found, _ in planned])
    taken = dict.fromkeys(same.values_list(ID, flat=True), "a workflow of that id exists already")
    checked = []
    for number, (row, (workflow_id, problems)) in enumerate(zip(rows, planned, strict=True), 1):
        also = [taken[workflow_id]] if workflow_id in taken else []
        if workflow_id:
            taken.setdefault(workflow_id, f"row {number} makes a workflow of that id too")
        shown = [(name, readable(value)) for name, value in row["parameters"].items()]
        checked.append(Checked(number, workflow_id, shown, [*problems, *also]))
    return checked


def _planned(template: Template, row: Row) -> tuple[str, list[str]]:
    """The id of the workflow that the row would make, and what is wrong with it."""
    try:
        return templates.plan(template, row["parameters"], row.get(ID)).workflow_id, []
    except (InputInvalid, DefinitionError) as error:
        told = [f"{problem.path}: {problem.message}" if problem.path else problem.message for problem in error.problems]
        return str(row.get(ID, "")), told or [str(error)]
