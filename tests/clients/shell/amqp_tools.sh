#!/usr/bin/env bash
# AMQP 0-9-1 through Debian's amqp-tools (librabbitmq).
set -euo pipefail
port=$(python3 -c 'import json, os; print(json.loads(os.environ["CROSSDOCK_PORTS"])["amqp"])')
url="amqp://guest:guest@127.0.0.1:$port/%2f"

[ "$(amqp-declare-queue --url "$url" --queue tools --durable)" = tools ]
for body in one two three; do amqp-publish --url "$url" --routing-key tools --persistent --body "$body"; done
[ "$(amqp-get --url "$url" --queue tools)" = one ]
[ "$(timeout 20 amqp-consume --url "$url" --queue tools --count 2 cat)" = twothree ]
[ "$(amqp-delete-queue --url "$url" --queue tools)" = 0 ]
if amqp-get --url "$url" --queue tools 2>/tmp/amqp-tools-error; then
    echo "a deleted queue was read" >&2
    exit 1
fi
grep --quiet "NOT_FOUND - no queue 'tools' in vhost '/'" /tmp/amqp-tools-error
rm /tmp/amqp-tools-error
