"""The mathematics: tensors in, tensors out; no weights, no files, no modality."""
