#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ValidateService, as shop: an order goes all the way through both services.
set -eu
exec python3 - <<'P'
import sys, time, urllib.request

ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
def call(method, path, body=None):
    request = urllib.request.Request("http://127.0.0.1:8082" + path, body, method=method)
    return ask.open(request, timeout=5).read().decode().strip()

order = call("POST", "/orders", b"deployment check")
deadline = time.monotonic() + 20
while (state := call("GET", order)) != "deployment check: done" and time.monotonic() < deadline:
    time.sleep(0.1)
call("DELETE", order)
if not state.endswith(": done"):
    sys.exit(f"shop-jobs.service did not carry the order out within 20 s; it is still '{state}'")
print("an order was taken and carried out")
P
