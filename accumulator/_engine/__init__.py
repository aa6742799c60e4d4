"""The engine: it applies the events of a protocol to resources and bodies. It knows no protocol.

- `protocol`: what a protocol declares.
- `resource`: the life of one object that events build.
- `body`: one HTTP body and its outcome.
- `engine`: the state of one accumulator, and what an event does to it.
- `templates`: the data of an event, with slots for the text, id or index in which events like it differ.
- `fast_path`: the short cut for such events, by templates that are learned and foretold.
- `feed`: one source of events.
- `limits`: how much a server can make an accumulator hold.
- `checkpoint`: the state as bytes.
- `accumulator`: the base class of the accumulators of all protocols.
"""
