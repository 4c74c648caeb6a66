"""The steps of a run, in their order: `before` any task, `paying`, `meanwhile`, `ending`."""
