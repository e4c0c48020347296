#!/bin/sh
# The gate with nothing but curl and jq: gate.sh MODEL DATASET GATE, GATE being JSON such as {"min_score": 0.5}.
# LESION_SERVER says where, LESION_KEY opens it. Exits as `lesion gate` does: 0 pass, 1 fail, 3 not judged, 5 inconclusive.
set -u
server=${LESION_SERVER:-http://127.0.0.1:8000}
config=$(jq -cn --argjson gate "$3" '{gate: $gate}') || exit 2
ask() { curl -sS --retry 3 ${LESION_KEY:+-H "Authorization: Bearer $LESION_KEY"} "$@"; }

answer=$(ask -F "model=@$1" -F "dataset=@$2" -F "config=$config" "$server/v1/evaluations?wait=60") || exit 3
while :; do
    case $(printf %s "$answer" | jq -r '.state // "refused"') in
        queued | running)
            id=$(printf %s "$answer" | jq -r .id)
            answer=$(ask "$server/v1/evaluations/$id?wait=60") || exit 3
            ;;
        succeeded) break ;;
        *)
            printf %s "$answer" | jq -r '"not judged: " + (.problem.detail // .detail // .state)' >&2
            exit 3
            ;;
    esac
done
printf %s "$answer" | jq -r '.result.gate | .verdict + ": " + (.reasons | join(" "))'
case $(printf %s "$answer" | jq -r .result.gate.verdict) in
    pass) exit 0 ;;
    fail) exit 1 ;;
    *) exit 5 ;;
esac
