#!/bin/bash
code=$(curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:18789/ -m 5)
[ "$code" = 200 ] && exit 0
pkill -f "openclaw.*gateway"
openclaw gateway restart
