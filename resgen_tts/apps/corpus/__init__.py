"""What is made of a corpus before training: text, symbols, codes."""
