"""What is evaluated: items with prompts, texts and recordings, and the folders of outputs."""
