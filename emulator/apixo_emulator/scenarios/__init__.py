"""Failures and delays on demand: the vocabulary, rules, and what they change."""
