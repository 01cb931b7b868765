"""Folders of trained parts: found, read, and written for others."""
