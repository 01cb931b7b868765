"""Generators of codes."""
