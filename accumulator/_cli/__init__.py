"""The command line: the entry point, the commands, and the output to the standard streams."""
