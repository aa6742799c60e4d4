"""The fold: JSON deltas and whole objects merged into what is there."""
