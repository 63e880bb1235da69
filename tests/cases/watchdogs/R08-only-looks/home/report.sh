#!/bin/sh
# restart by hand: systemctl --user restart openclaw-gateway
curl -sf http://127.0.0.1:18789/health || echo "restart openclaw-gateway" | mail -s down me
