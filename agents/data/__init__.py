"""Tables: where they come from, what is computed of them, how it is drawn. Built on DuckDB."""
