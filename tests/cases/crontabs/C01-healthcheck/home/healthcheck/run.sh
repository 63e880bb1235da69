#!/bin/bash
curl -s -m 8 http://localhost:18789/health >/dev/null && exit 0
systemctl --user stop openclaw-gateway
pkill -f "openclaw.*gateway"
sleep 2
systemctl --user start openclaw-gateway
