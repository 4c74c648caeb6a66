"""The report of a run: its values (`model`) and the forms in which it is shown (`render`)."""
