# Written by hand where keys lose their index: on SQLite, altering a field would copy the whole table.

import django.db.models.deletion
from django.db import migrations, models

# Each costs every run, step or event a write, and serves nothing that another index does not serve.
DROPPED = {
    "workflows_event_run_id_f27435b1": "workflows_event (run_id)",
    "workflows_run_parent_id_d158eec0": "workflows_run (parent_id)",
    "workflows_run_rerun_of_id_f4876423": "workflows_run (rerun_of_id)",
    "workflows_run_version_id_70aa5bb8": "workflows_run (version_id)",
    "workflows_run_worker_id_e1cdd061": "workflows_run (worker_id)",
    "workflows_run_workflow_id_f79305db": "workflows_run (workflow_id)",
}


def drop(apps, schema_editor):
    for name in DROPPED:
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


def make(apps, schema_editor):
    for name, columns in DROPPED.items():
        schema_editor.execute(f"CREATE INDEX {name} ON {columns}")


class Migration(migrations.Migration):

    dependencies = [
        ('workflows', '0010_lists'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='run',
            name='run_due',
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, make)],
            state_operations=[
                migrations.AlterField(
                    model_name='event',
                    name='run',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='workflows.run'),
                ),
                migrations.AlterField(
                    model_name='run',
                    name='parent',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='children', to='workflows.run'),
                ),
                migrations.AlterField(
                    model_name='run',
                    name='rerun_of',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reruns', to='workflows.run'),
                ),
                migrations.AlterField(
                    model_name='run',
                    name='version',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='workflows.workflowversion'),
                ),
                migrations.AlterField(
                    model_name='run',
                    name='worker',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='workflows.worker'),
                ),
                migrations.AlterField(
                    model_name='run',
                    name='workflow',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='workflows.workflow'),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('due_at__isnull', False), ('worker__isnull', True)), fields=['due_at'], name='run_due'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('due_at__isnull', False), ('worker__isnull', True)), fields=['-priority', 'due_at', 'id'], name='run_in_line'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('worker__isnull', False)), fields=['worker'], name='run_held'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('rerun_of__isnull', False)), fields=['rerun_of'], name='run_again'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('parent__isnull', False)), fields=['parent'], name='run_child'),
        ),
        migrations.RemoveIndex(
            model_name='event',
            name='event_by_person',
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(models.Q(('actor__startswith', 'worker:'), _negated=True), models.Q(('actor__startswith', 'web:'), _negated=True), models.Q(('actor__startswith', 'local:'), _negated=True)), fields=['actor', 'id'], name='event_by_person'),
        ),
        migrations.AddIndex(
            model_name='workflow',
            index=models.Index(condition=models.Q(('concurrency_limit__isnull', False)), fields=['concurrency_limit'], name='workflow_limited'),
        ),
    ]
