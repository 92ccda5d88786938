"""Kolosal Workflows: durable sequential workflows of agent steps."""

__version__ = "0.1.0"
