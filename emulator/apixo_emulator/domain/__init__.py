"""Decisions as functions of values: no clock, no random source, no socket, no database."""
