from django.db import migrations, models


# Words of errors and inputs, and how long runs took: SQLite has no index of either here.
INDEXES = {
    "run_words": """gin (to_tsvector('simple', left(
        "error_code" || ' ' || "error_message" || ' ' || "input", 10000
    )))""",
    "run_length": "btree ((ended_at - started_at)) WHERE ended_at IS NOT NULL",
}


def add(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for name, what in INDEXES.items():
            schema_editor.execute(f"CREATE INDEX {name} ON workflows_run USING {what}")


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for name in INDEXES:
            schema_editor.execute(f"DROP INDEX {name}")


class Migration(migrations.Migration):

    dependencies = [
        ('workflows', '0009_failed_runs'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['actor', '-id'], name='run_of_person'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['trigger', '-id'], name='run_by_trigger'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('error_code', ''), _negated=True), fields=['error_code', '-id'], name='run_by_error'),
        ),
        migrations.AddIndex(
            model_name='stepresult',
            index=models.Index(condition=models.Q(('error_code', ''), _negated=True), fields=['error_code'], name='step_by_error'),
        ),
        migrations.RunPython(add, remove),
    ]
