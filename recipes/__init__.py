"""Recipes: from a corpus to a scored, exported model, stage by stage. Nothing in the package imports them."""
