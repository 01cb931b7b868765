"""Blocks with weights."""
