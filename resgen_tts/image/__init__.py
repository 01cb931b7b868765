"""The image modality: class-conditional pictures, by the same codes and generators as speech."""
