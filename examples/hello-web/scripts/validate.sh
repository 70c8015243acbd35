#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ValidateService: ask the server over HTTP whether it can do its work.
. "$(dirname "$0")/common.sh"
exec python3 - "http://127.0.0.1:$PORT/health" <<'PY'
import sys, time, urllib.error, urllib.request

ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for attempt in range(100):
    try:
        print("healthy:", ask.open(sys.argv[1], timeout=5).read().decode().strip())
        sys.exit(0)
    except urllib.error.HTTPError as problem:
        sys.exit(f"{sys.argv[1]} answers {problem.code}: {problem.read().decode().strip()}")
    except OSError as problem:
        last = problem
        time.sleep(0.1)
sys.exit(f"{sys.argv[1]} does not answer: {last}")
PY
