"""The speech modality: text and prompts in, waves out."""
