"""The pictures of the README, as the commands print them on a terminal."""
