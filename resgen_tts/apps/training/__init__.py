"""The verb train, part by part."""
