"""``python -m apixo_emulator``."""

from apixo_emulator.cli import main

if __name__ == "__main__":  # worker processes import this module, too
    main(prog_name="apixo-emulator")
