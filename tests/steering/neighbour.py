"""One of many test processes that share a server: `neighbour.py ORIGIN NUMBER`.

Says "ready", waits for a line, works in the world of its own key, and prints what it saw as JSON.
"""

import json
import sys

import httpx

TURNS = 10
RESET_AFTER = 5


def main(origin: str, number: int) -> None:
    """Fail some tasks on demand, move the clock, begin anew: all that would disturb others."""
    key = {"Authorization": f"Bearer sk-neighbour-{number:02}"}
    body = {"input": {"image_urls": [f"https://example.com/{number}.jpg"]}}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    seen: list[object] = []
    with httpx.Client(base_url=origin, headers=key, timeout=60) as client:

        def steer(verb: str, **wanted: object) -> None:
            client.post(f"/_emulator/{verb}", json=wanted).raise_for_status()

        for turn in range(TURNS):
            if number % 2:
                steer("scenarios", scenario="Timeout", times=1)
            submitted = client.post("/api/v1/generateTask/image-upscaler", json=body).json()
            task_id = submitted["data"]["taskId"]
            steer("clock/advance", ms=1000 + number)
            query = {"taskId": task_id}
            task = client.get("/api/v1/statusTask/image-upscaler", params=query).json()["data"]
            seen.append([task_id, task["state"], task["createTime"], task["completeTime"]])
            if turn == RESET_AFTER:
                steer("reset")
        left = client.get("/api/v1/apikeys/current-balance").json()["data"]
        calls = client.get("/_emulator/requests").json()["requests"]
    json.dump({"tasks": seen, "balance": left, "calls": len(calls)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
