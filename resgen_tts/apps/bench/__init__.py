"""The schemes of generating codes side by side."""
