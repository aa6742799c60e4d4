"""Sources that are read into an accumulator, sync and async."""
