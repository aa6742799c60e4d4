#!/bin/sh
# curl: read a served recording, and leave each answer in a file of its own. Arguments: the address, a folder, the number
# of bodies, and what curl is told beside them.
set -eu
url=$1/v1/threads/any folder=$2 bodies=$3
shift 3
get() { curl -sS --fail-with-body "$@"; }
post() { get -H 'content-type: application/json' "$@"; }
for stream in true false; do
  for body in $(seq "$bodies"); do
    path=runs
    [ "$body" = 1 ] || path=runs/any/submit_tool_outputs
    post -N "$url/$path" -d "{\"assistant_id\": \"any\", \"stream\": $stream}" -o "$folder/$stream$body" "$@"
  done
  [ "$stream" = false ] && continue
  get "$url/runs/any" -o "$folder/run" "$@"
  get "$url/runs/any/steps?order=asc&limit=100" -o "$folder/steps" "$@"
  get "$url/messages?order=asc&limit=100" -o "$folder/messages" "$@"
done
