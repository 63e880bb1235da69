#!/bin/bash
curl -sf -m 5 http://127.0.0.1:18789/ >/dev/null || systemctl --user restart openclaw-gateway
