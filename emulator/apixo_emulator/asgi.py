"""The application with options from the environment and the configuration file.

For any ASGI server: ``uvicorn apixo_emulator.asgi:app``. The process is set as a server needs it; a program
that does more than serve the emulator calls `create_app`.
"""

from apixo_emulator.app import create_app
from apixo_emulator.config_file import load_settings
from apixo_emulator.process import prepare_process
from apixo_emulator.settings import SettingsError

prepare_process()
try:
    app = create_app(load_settings())
except SettingsError as error:
    raise SystemExit(f"apixo-emulator: {error}") from None
