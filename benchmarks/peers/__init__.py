"""The same work on other systems, each in an environment of its own: see `benchmarks.peers.__main__`."""
