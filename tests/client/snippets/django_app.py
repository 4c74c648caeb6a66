# ruff: noqa: T201 - the reader's own work stands where it prints
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apixo_client import CallbackError, parse_callback


@csrf_exempt
@require_POST
def apixo(request: HttpRequest) -> HttpResponse:
    try:
        task = parse_callback(request.body)
    except CallbackError as error:
        return HttpResponse(str(error), status=400)
    print(task.id, task.state)
    return HttpResponse("ok")
