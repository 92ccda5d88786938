"""Measuring, shortening, reviewing and redacting text: plain computations, without models to download."""
