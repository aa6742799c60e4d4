"""Faults that are planted in the conditions of the special ways, for the tests to find."""
