"""Scores of recordings: files in, figures out."""
