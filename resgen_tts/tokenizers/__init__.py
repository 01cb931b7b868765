"""From sound to codes and back."""
