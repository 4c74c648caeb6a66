"""The journal of calls: its entries, what is masked in them, and how they are filtered and exported."""
