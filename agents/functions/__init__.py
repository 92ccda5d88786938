"""The functions that agents offer: one module a function, found by `agents.functions.registry`."""
