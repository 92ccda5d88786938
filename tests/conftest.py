"""What all suites share. A test that needs a service says so with a mark, and is left out loudly where there is none."""

import os

# Before settings load: the scripted functions must be known in helper processes too, which inherit the environment.
os.environ.setdefault("KOLOSAL_FUNCTIONS", "tests.scripted")
