"""What is here of what is needed: told to whoever runs it, and collected for whoever mends a mistake."""
