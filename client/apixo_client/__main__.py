"""`python -m apixo_client` is `apixo-client`."""

from apixo_client.cli import main

main(prog_name="apixo-client")
