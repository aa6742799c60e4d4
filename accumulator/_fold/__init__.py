"""The fold: deltas and whole objects are merged into builders. It knows JSON, and no protocol.

`policy` says what happens to each kind of field, `nodes` are the builders and their snapshots, `matching` finds the
entry of a list that is meant, `delta` merges deltas, `whole` merges whole objects and endings, and `changes` is what a
merge did.
"""
