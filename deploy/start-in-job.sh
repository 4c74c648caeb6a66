#!/usr/bin/env bash
# Starts an emulator for the following steps of a GitHub job; action.yml calls it.
# Reads ARGS, PORT, WAIT (seconds), SET_ENV, APIXO_EMULATOR_BIN, RUNNER_TEMP, GITHUB_OUTPUT and GITHUB_ENV.
set -euo pipefail

ready="$RUNNER_TEMP/apixo-emulator.url"
log="$RUNNER_TEMP/apixo-emulator.log"
emulator="$APIXO_EMULATOR_BIN/apixo-emulator"
rm -f "$ready"

# ARGS is split into words on purpose: it is a list of options.
# shellcheck disable=SC2086
nohup "$emulator" serve --ephemeral --port "$PORT" --ready-file "$ready" $ARGS > "$log" 2>&1 &
pid=$!

for _ in $(seq "$((WAIT * 10))"); do
    [ -s "$ready" ] && break
    if ! kill -0 "$pid" 2> /dev/null; then
        echo "::error::The emulator has ended at its start:"
        cat "$log"
        exit 1
    fi
    sleep 0.1
done
if [ ! -s "$ready" ]; then
    echo "::error::The emulator did not answer within $WAIT s:"
    cat "$log"
    exit 1
fi

url=$(cat "$ready")
origin=${url%/api/v1}
{
    echo "url=$url"
    echo "dashboard=$origin/_emulator/"
} >> "$GITHUB_OUTPUT"
# For deploy/upload-journal, which finds the emulator by it.
echo "APIXO_EMULATOR_URL=$origin" >> "$GITHUB_ENV"
if [ "$SET_ENV" = true ]; then
    {
        echo "APIXO_BASE_URL=$url"
        [ -n "${APIXO_API_KEY:-}" ] || echo "APIXO_API_KEY=any-key"
    } >> "$GITHUB_ENV"
fi
echo "The emulator answers at $url (process $pid)."
