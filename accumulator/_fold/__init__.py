"""The fold: deltas and whole objects are merged into builders. It knows JSON, and no protocol.

- `policy`: what a merge does to each kind of field.
- `nodes`: the mutable builders and their snapshots.
- `matching`: which entry of a list is meant.
- `delta`, `whole`: the merge of deltas, and of whole objects.
- `changes`: the result of a merge.
"""
