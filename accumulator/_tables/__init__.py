"""Tables of runs, steps, calls and messages: the columns, the rows, and what they are written to."""
