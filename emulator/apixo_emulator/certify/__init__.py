"""Judges of the two sides that a user writes: the receiver of callbacks, and the client."""
