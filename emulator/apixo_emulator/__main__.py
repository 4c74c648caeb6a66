"""``python -m apixo_emulator``."""

from apixo_emulator.cli import main

main(prog_name="apixo-emulator")
