"""Plant a fault at each condition of the special ways, and see the tests fail: `python -m tests.planted`.

What is kept as sent and what takes the fast path must come to the result of the general merge. Each condition of these
ways is there because without it some stream would come to another. So each is taken out, one at a time, in a copy of
the package, and the tests that hold the special ways against the general one run on the copy. It fails if a fault
passes them, and if the source of a condition has changed. `--only TEXT` plants only the faults with that text, and
`--from N` only those from number N on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TESTS = ("tests/test_fast_path.py", "tests/test_sent.py", "tests/test_limits.py")
SENT, OPENING, DELTA, TEMPLATES, FAST, RESOURCE, ENGINE, FEED = (
    f"accumulator/{name}.py"
    for name in (
        "_fold/sent",
        "_fold/opening",
        "_fold/delta",
        "_engine/templates",
        "_engine/fast_path",
        "_engine/resource",
        "_engine/engine",
        "_engine/feed",
    )
)


class Fault(NamedTuple):
    """A condition in a file, and what stands in its place."""

    file: str
    condition: str
    instead: str


FAULTS = (
    # An object that may be kept.
    Fault(SENT, "        if mark in data:\n", "        if False:\n"),
    Fault(SENT, 'if b"\\\\" in data and any(', "if False and any("),
    Fault(SENT, "    return _lists_nothing(sent, schema)\n", "    return True\n"),
    Fault(SENT, "if value is None or (value == [] and inner.key is not None):", "if not value:"),
    Fault(SENT, "if inner.key is not None or not isinstance(value, dict) or", "if not isinstance(value, dict) or"),
    Fault(SENT, "not isinstance(value, dict) or not _lists_nothing(value, inner):", "not isinstance(value, dict):"),
    Fault(RESOURCE, "and fits_below(payload, kind.schema, indexed=False):", "and True:"),
    Fault(RESOURCE, "            if named is not None:\n", "            if True:\n"),
    # An ending that says all.
    Fault(SENT, "if fields is None or not fields.keys() <= ending.keys():", "if fields is None:"),
    Fault(SENT, "        if not _says(fields.get(key), ending.get(key), inner, known):\n", "        if False:\n"),
    Fault(SENT, "return None if len(known) > 1 else _KNOWN in known", "return _KNOWN in known"),
    Fault(SENT, "return None if node.conflicts else node.fields", "return node.fields"),
    Fault(SENT, "return not node.pieces or node.read() == value", "return True"),
    Fault(SENT, "return isinstance(value, list) and _says_entries(", "return True or _says_entries("),
    Fault(SENT, "        known.add(_NEW)\n    return is_empty(node)", "        pass\n    return is_empty(node)"),
    Fault(SENT, "return is_empty(node) or same_json(node, value)", "return True"),
    Fault(SENT, "if (type(inner) is str or inner is None) and inner == sent:", "if inner == sent:"),
    Fault(SENT, "            if has_content(inner):\n", "            if False:\n"),
    Fault(SENT, "        if key not in fields and value.get(key):\n", "        if False:\n"),
    Fault(SENT, "if schema.key is None or len(value) != len(entries) or", "if len(value) != len(entries) or"),
    Fault(SENT, "len(value) != len(entries) or len(keyed.ids)", "len(value) < len(entries) or len(keyed.ids)"),
    Fault(SENT, " or len(keyed.ids) not in {0, len(entries)}:", ":"),
    Fault(SENT, "if entry.index != place or entry.assumed", "if entry.assumed"),
    Fault(SENT, "or entry.assumed or entry.whole:", ":"),
    Fault(SENT, "        if not _says_fields(entry, item, schema, known):\n", "        if False:\n"),
    Fault(SENT, "    if named:\n        _name_entries", "    if False:\n        _name_entries"),
    # An object that comes again.
    Fault(RESOURCE, "return data == self.data", "return self._whole is not None"),
    Fault(FEED, "return name in kept.type.repeated_by and", "return"),
    Fault(FEED, "repeated_by and body is engine.body and not", "repeated_by and not"),
    Fault(FEED, "body is engine.body and not (body.ended or engine.exact)\n\n", "body is engine.body\n\n"),
    Fault(ENGINE, 'if role == "repeat" and not event.within and', 'if role == "repeat" and'),
    Fault(ENGINE, "        self.kept = None  # its run", "        # its run"),
    Fault(ENGINE, "resource.data == data and body is self.body:", "resource.data == data:"),
    Fault(FEED, "if not pending or body.ended or body is not", "if not pending or body is not"),
    Fault(FEED, "body.ended or body is not engine.body or", "body.ended or not body.began or"),
    Fault(FEED, "body is not engine.body or engine.exact:", "body is not engine.body:"),
    Fault(FEED, "                and self.body is engine.body\n", "                and self.body.began\n"),
    Fault(
        FEED, "                and not (self.body.ended or engine.exact)\n", "                and not engine.exact\n"
    ),
    Fault(
        FEED, "                and not (self.body.ended or engine.exact)\n", "                and not self.body.ended\n"
    ),
    # A delta that only opens parts.
    Fault(DELTA, "if moment is None and parts is not None else None", "if parts is not None else None"),
    Fault(OPENING, "key = None if node.settled else _next_key", "key = _next_key"),
    Fault(
        OPENING, "if not isinstance(inner, Object) or not isinstance(sent, dict):", "if not isinstance(inner, Object):"
    ),
    Fault(OPENING, "if not fits_below(sent, parts) or not", "if not"),
    Fault(OPENING, "or not (inner is None or isinstance(inner, Keyed)):", ":"),
    Fault(OPENING, "if found is not None or not value:", "if not value:"),
    Fault(OPENING, "if found is not None or not value:", "if found is not None:"),
    Fault(OPENING, "elif type(value) is not str or value != fields.get(key):", "elif value != fields.get(key):"),
    Fault(OPENING, "type(value) is not str or value != fields.get(key):", "type(value) is not str:"),
    Fault(OPENING, "if index is None or index in indexes or", "if index is None or"),
    Fault(OPENING, " or (not is_empty(ident) and id_key(ident) in keyed.ids):", ":"),
    Fault(OPENING, "if len(entries) > 1 and len({entry.index", "if False and len({entry.index"),
    # A template that is expected.
    Fault(FAST, "if expected is not None and name == self.last_name:", "if expected is not None:"),
    Fault(FAST, "            self._followers = {}\n", ""),
    # A fragment that is folded in one call.
    Fault(FEED, "is fast_path.last and item[0] == fast_path.last_name:", "is fast_path.last:"),
    Fault(
        TEMPLATES,
        "!= self.around:\n            return None\n        try:\n            text =",
        "< 0:\n            return None\n        try:\n            text =",
    ),
    Fault(
        TEMPLATES,
        "                self._growth.drop_snapshots()\n        return update",
        "                pass\n        return update",
    ),
    # A template that is foretold.
    Fault(DELTA, "or node.entries.get(index) is not entry:", "or False:"),
    Fault(DELTA, "if texts is not None and not texts <= fields.items():", "if False:"),
    Fault(DELTA, "return key in fields if value is None else", "return True if value is None else"),
    Fault(DELTA, "value == [] and isinstance(fields.get(key), Keyed)", "isinstance(fields.get(key), Keyed)"),
    Fault(DELTA, "value == [] and isinstance(fields.get(key), Keyed)", "value == []"),
    Fault(DELTA, "if not isinstance(node, Text) or entry.assumed:", "if not isinstance(node, Text):"),
    Fault(RESOURCE, "            moment.note_text(text)\n            for each", "            for each"),
    Fault(DELTA, "self._note_replaced(node)  # a template may", "pass  # a template may"),
)


def main(arguments: list[str] | None = None) -> int:
    """Plant each fault, and print which ones the tests found. Return how many passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--from", default=0, type=int, metavar="N", dest="first")
    given = parser.parse_args(arguments)
    only, passed = given.only, 0
    for fault in FAULTS[given.first :]:
        if only not in f"{fault.file} {fault.condition} {fault.instead}":
            continue
        found = _is_found(fault)
        passed += not found
        shown = " / ".join(line.strip() for line in fault.condition.splitlines())
        print(f"{'found ' if found else 'PASSED'}  {fault.file}: {shown}  ->  {fault.instead.strip()[:60]}", flush=True)
    print(f"{passed} faults passed the tests")
    return passed


def _is_found(fault: Fault) -> bool:
    """Tell whether the tests fail with a fault."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("accumulator", "tests"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        path = Path(folder) / fault.file
        source = path.read_text("utf-8")
        if source.count(fault.condition) != 1:
            raise SystemExit(f"{fault.file}: expected once, got {source.count(fault.condition)}: {fault.condition!r}")
        path.write_text(source.replace(fault.condition, fault.instead), "utf-8")
        options = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=found"]
        command = [sys.executable, "-m", "pytest", *options, *TESTS]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": folder}, check=False, capture_output=True, text=True
        )
        if "Error while loading" in done.stderr or "error" in done.stdout.splitlines()[-1]:
            raise SystemExit(f"expected tests that run, got:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main() > 0)
