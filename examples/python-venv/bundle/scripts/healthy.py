# SPDX-License-Identifier: Apache-2.0
"""healthy.py URL TEXT: wait up to 20 seconds until URL answers TEXT."""
import http.client
import sys
import time
import urllib.request

url, expected = sys.argv[1:]
ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
deadline = time.monotonic() + 20
seen = "nothing"
while time.monotonic() < deadline:
    try:
        with ask.open(url, timeout=5) as answer:
            seen = answer.read(1000).decode("utf-8", "replace").strip()
        if seen == expected:
            print(f"{url}: {seen}")
            sys.exit(0)
    except (OSError, http.client.HTTPException) as problem:
        seen = problem
    time.sleep(0.1)
sys.exit(f"{url} should answer '{expected}'; the last answer was: {seen}")
