"""An emulator of APIXO's Image Upscaler that an application cannot tell from the real service."""
