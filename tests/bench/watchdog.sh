#!/bin/sh
# The kind of watchdog that Gatehound replaces and is measured beside: one run of it, as cron starts one.
# Called with the gateway's unit, its port, its configuration and a folder for what it remembers.
# Left out are an alert through the gateway itself, and a kill of all processes by command line, which would end
# what is measured beside it.
unit=$1
port=$2
config=$3
folder=$4

flag=/tmp/openclaw-maintenance
state=$folder/failures
log=$folder/log
debounce=30

say() {
    echo "$(date '+%F %T') $*" >>"$log"
}

is_active() {
    [ "$(systemctl --user is-active "$unit")" = active ]
}

listens() {
    ss -ltn | grep -q ":$port "
}

answers() {
    curl --silent --output /dev/null --max-time 5 "http://127.0.0.1:$port/"
}

is_healthy() {
    curl --silent --max-time 10 "http://127.0.0.1:$port/health" | grep -q '"ok":true'
}

holders() {
    ss -Hltnp "sport = :$port" | grep -o 'pid=[0-9]*' | cut -d= -f2
}

# The state file has the number of failures and the second of the last one.
failures=0
last=0
if [ -r "$state" ]; then
    read -r failures last <"$state"
fi

[ -e "$flag" ] && exit 0
is_active || exit 0

if listens && answers && is_healthy; then
    [ "$failures" = 0 ] || rm -f "$state"
    cp "$config" "$config.bak"
    exit 0
fi

now=$(date +%s)
if [ $((now - last)) -lt $debounce ]; then
    say "still failing, counted already"
    exit 0
fi
failures=$((failures + 1))
echo "$failures $now" >"$state"

case $failures in
    1) delay=5 ;;
    2) delay=10 ;;
    3) delay=20 ;;
    *)
        say "failed $failures times, doing nothing any more"
        exit 1
        ;;
esac

say "failure $failures, restarting in $delay s"
sleep "$delay"
systemctl --user stop "$unit"
for pid in $(holders); do
    kill "$pid"
done
sleep 2
for pid in $(holders); do
    kill -9 "$pid"
done
systemctl --user start "$unit"
say "restarted"
