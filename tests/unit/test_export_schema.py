import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from workflows.definitions import json_schema


def test_the_schema_is_printed():
    out = StringIO()
    call_command("export_schema", stdout=out)
    assert json.loads(out.getvalue()) == json_schema()


def test_the_schema_is_written_to_a_file(tmp_path):
    call_command("export_schema", output=tmp_path / "schema.json", stdout=StringIO())
    assert json.loads((tmp_path / "schema.json").read_text())["title"] == "Kolosal workflow"


def test_a_file_that_can_not_be_written_is_told(tmp_path):
    with pytest.raises(CommandError, match="can't write"):
        call_command("export_schema", output=tmp_path / "nowhere" / "schema.json")
