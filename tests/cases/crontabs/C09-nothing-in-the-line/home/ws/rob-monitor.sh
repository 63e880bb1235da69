#!/bin/bash
UNIT=openclaw-gateway
systemctl --user is-active -q $UNIT || systemctl --user restart $UNIT
