"""The server that plays recordings: what it answers, in which order, with which faults, and how it is run."""
