"""The command ``apixo-emulator``, also as ``python -m apixo_emulator``."""

from apixo_emulator.process import prepare_process

try:
    prepare_process()
    from apixo_emulator.cli import main
except KeyboardInterrupt:  # Ctrl-C while modules are imported
    raise SystemExit(130) from None

if __name__ == "__main__":  # worker processes import this module, too
    main(prog_name="apixo-emulator")
