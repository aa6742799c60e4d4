"""The command line: the entry point, the command `replay`, and the output to the standard streams."""
