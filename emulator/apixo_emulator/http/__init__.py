"""The emulator behind a socket: ASGI, uvicorn, and the pictures' delivery."""
