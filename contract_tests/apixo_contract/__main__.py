"""`python -m apixo_contract` is `apixo-contract`."""

from apixo_contract.cli import main

main(prog_name="apixo-contract")
