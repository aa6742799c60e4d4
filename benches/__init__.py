"""Measure this library, its peers and the limit side by side: `python -m benches --help` lists what there is."""
