#!/bin/sh
# to restart: systemctl --user restart openclaw-gateway
curl -sf http://localhost:18789/health || echo "openclaw gateway is down" | mail -s gateway me
