"""How fast the emulator is, beside the limit and beside what people use instead."""
