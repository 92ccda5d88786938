"""The REST API under ``/api/v1``: thin views over verbs and QuerySets."""
