# ruff: noqa: T201 - the reader's own work stands where it prints
from flask import Flask, request

from apixo_client import CallbackError, parse_callback

app = Flask(__name__)


@app.post("/webhooks/apixo")
def apixo() -> tuple[str, int]:
    try:
        task = parse_callback(request.get_data())
    except CallbackError as error:
        return str(error), 400
    print(task.id, task.state)
    return "ok", 200
