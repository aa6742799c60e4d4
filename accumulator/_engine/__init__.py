"""The engine: it applies the events of a protocol to resources and bodies. It knows no protocol.

- `protocol`: what a protocol declares.
- `resource`: the life of one object that events build.
- `body`: one HTTP body and its outcome.
- `engine`: the state of one accumulator, and what an event does to it.
- `fast_path`: the short cut for an event that differs from an earlier one only in a text, id or index.
- `feed`: one source of events.
- `checkpoint`: the state as bytes.
- `accumulator`: the base class of the accumulators of all protocols.
"""
