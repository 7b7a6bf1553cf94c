"""Speed, always as a ratio against the alternative on the same work in the same run. `python -m bench [table …]`."""
