# ruff: noqa: T201 - the reader's own work stands where it prints
from fastapi import FastAPI, HTTPException, Request

from apixo_client import CallbackError, parse_callback

app = FastAPI()


@app.post("/webhooks/apixo")
async def apixo(request: Request) -> str:
    try:
        task = parse_callback(await request.body())
    except CallbackError as error:
        raise HTTPException(400, str(error)) from None
    print(task.id, task.state)  # hand over to a queue here: answer within 30 s
    return "ok"
