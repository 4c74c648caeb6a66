"""Failures and delays on demand: names, rules, and what they change."""
