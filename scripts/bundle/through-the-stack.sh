#!/bin/sh
# Starts the stack of an installed bundle, trains through its API, watches the run, fetches the adapter, lets it write, and stops the stack.
# usage: through-the-stack.sh INSTALLED WORK
set -eu
moraine=$1/bin/moraine examples=$1/examples data=$2/data got=$2/got log=$2/up.log
mkdir -p "$2"
export MORAINE_DATA="$data"

"$moraine" up --port 0 --quiet >"$log" 2>&1 &
up=$!
stop() {
  kill "$up" 2>/dev/null || true
  wait "$up" || true
}
trap stop EXIT

waited=0
until grep -q 'is up after' "$log"; do
  waited=$((waited + 1))
  if [ "$waited" -gt 180 ] || ! kill -0 "$up" 2>/dev/null; then
    cat "$log"
    exit 1
  fi
  sleep 1
done
grep 'is up after' "$log"

"$moraine" runs create --model moraine-tiny --file "$examples/tasks/record-train.jsonl" --steps 20 --batch-size 16 --watch | tee "$2/watched"
run=$(sed -n 's/^\(ftjob-[^:]*\):.*/\1/p' "$2/watched" | sed 1q)
"$moraine" runs ls
"$moraine" runs download "$run" --out "$got"
ls "$got" | grep -q safetensors
"$moraine" local generate --base "$examples/base" --adapter "$got" --prompt 'Nevsa gave 3 belts to Gankor.'
"$moraine" runs show "$run" | grep -q succeeded
trap - EXIT
kill "$up"
wait "$up"
printf 'stopped\n'
