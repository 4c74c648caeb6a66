"""The HTTP libraries whose calls are intercepted, one adapter each."""
