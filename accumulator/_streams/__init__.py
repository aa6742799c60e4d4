"""Sources, the streams and taps that read them into an accumulator, handlers, and the merging of deltas."""
