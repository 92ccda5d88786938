"""Measurements of this project, each in processes and on a store of its own. ``make bench`` runs them."""
