"""The fold: deltas and whole objects are merged into builders. It knows JSON, and no protocol.

- `policy`: what a merge does to each kind of field.
- `nodes`, `texts`: the mutable builders and their snapshots.
- `matching`: which entry of a list is meant.
- `delta`, `whole`: the merge of deltas, and of whole objects.
- `opening`: deltas that only open parts, merged without a plan.
- `sent`: objects that are kept as they were sent, until something in them grows.
- `remainder`: the rest of texts that were cut with their stream.
- `history`: objects as they were, for updates that are read later.
- `changes`: the result of a merge.
"""
