#!/bin/bash
URL="http://127.0.0.1:${OPENCLAW_GATEWAY_PORT:-18789}/"
curl -fsS -m 5 "$URL" >/dev/null || systemctl --user restart openclaw-gateway
