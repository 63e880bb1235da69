# The kind of cron job that Gatehound replaces, as far as it deals with a hung gateway: one run of it, first failure.
# Called with the gateway's unit and port.
# Left out is a kill of all processes by command line, which would end the trials that run beside this one.
unit=$1
port=$2

healthy() {
    ss -ltn | grep -q ":$port " &&
        curl --silent --output /dev/null --max-time 5 "http://127.0.0.1:$port/" &&
        curl --silent --max-time 10 "http://127.0.0.1:$port/health" | grep -q '"ok":true'
}

holders() {
    lsof -t -i "TCP:$port" -s TCP:LISTEN
}

healthy && exit 0
sleep 5
systemctl --user stop "$unit"
holders | xargs --no-run-if-empty kill
sleep 2
holders | xargs --no-run-if-empty kill -9
systemctl --user start "$unit"
