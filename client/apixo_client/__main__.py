"""`python -m apixo_client` is `apixo-client`."""

import sys

from apixo_client.cli import main

sys.exit(main())
