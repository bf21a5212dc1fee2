#!/usr/bin/env bash
# MQTT 3.1, 3.1.1 and 5 through mosquitto_pub, _sub and _rr from Debian; through TLS if the environment says so.
set -euo pipefail
port() { python3 -c 'import json, os, sys; print(json.loads(os.environ["CROSSDOCK_PORTS"])[sys.argv[1]])' "$1"; }
if [ -n "${CROSSDOCK_CA:-}" ]; then
    common=(-h localhost -p "$(port mqtts)" --cafile "$CROSSDOCK_CA")
    [ -z "${CROSSDOCK_CLIENT_CERT:-}" ] || common+=(--cert "$CROSSDOCK_CLIENT_CERT" --key "$CROSSDOCK_CLIENT_KEY")
else
    common=(-h 127.0.0.1 -p "$(port mqtt)")
fi
[ -n "${CROSSDOCK_CLIENT_CERT:-}" ] || common+=(-u guest -P guest)
expect() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'" >&2; exit 1; }; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for version in mqttv31 mqttv311 mqttv5; do
    for qos in 0 1 2; do
        topic="mosquitto/$version/$qos"
        # What is retained needs no wait for the subscriber.
        mosquitto_pub "${common[@]}" -V "$version" -t "$topic" -m "m $qos" -q "$qos" -r
        expect "$(timeout 30 mosquitto_sub "${common[@]}" -V "$version" -t "$topic" -q 2 -C 1 -F '%t %q %r %p')" "$topic $qos 1 m $qos"
        mosquitto_pub "${common[@]}" -V "$version" -t "$topic" -n -r
    done
    # A session that stays gets what it missed.
    id="stays-$version"
    stay=(); [ "$version" != mqttv5 ] || stay=(-x 60)
    timeout 30 mosquitto_sub "${common[@]}" -V "$version" -i "$id" -c "${stay[@]}" -t "missed/$version" -q 1 -E
    seq 1 20 | mosquitto_pub "${common[@]}" -V "$version" -t "missed/$version" -q 1 -l
    expect "$(timeout 30 mosquitto_sub "${common[@]}" -V "$version" -i "$id" -c "${stay[@]}" -t "missed/$version" -q 1 -C 20 | tr '\n' ' ')" \
        "$(seq 1 20 | tr '\n' ' ')"
done

mosquitto_pub "${common[@]}" -V mqttv5 -t properties -m m -q 1 -r -D publish content-type text/plain \
    -D publish user-property a 1 -D publish user-property a 2 -D publish correlation-data c -D publish message-expiry-interval 1000
expect "$(timeout 30 mosquitto_sub "${common[@]}" -V mqttv5 -t properties -q 1 -C 1 -F '%C %P %D')" "text/plain a:1 a:2 c"
mosquitto_pub "${common[@]}" -V mqttv5 -t properties -n -r

# A request, and who answers it.
mosquitto_sub "${common[@]}" -V mqttv5 -t requests -C 1 -F '%R %p' > "$folder/request" &
mosquitto_rr "${common[@]}" -V mqttv5 -t requests -e answers/one -m question -W 30 > "$folder/answer" &
asker=$!
for _ in $(seq 100); do
    mosquitto_pub "${common[@]}" -V mqttv5 -t answers/one -m answer -q 1
    kill -0 "$asker" 2>/dev/null || break
    sleep 0.1
done
wait "$asker"
expect "$(cat "$folder/answer")" answer
kill %1 2>/dev/null || true
