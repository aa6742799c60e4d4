"""Coverage-guided fuzzing: `python -m tests.fuzz TARGET --runs N`, with the extra `fuzz`.

A target is a function of bytes that raises where the library does not keep its word. The inputs in `corpus` are also
replayed by the tests, without a fuzzer.
"""
