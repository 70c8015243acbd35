#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What status says of an endpoint's deployment that is open: between its commands, and when its worker is gone."""
from worker import *


def status(host):
    run = subprocess.run([os.path.join(BUILD, "slipway"), "--root", host.root, "status"], capture_output=True, text=True, timeout=30)
    return " ".join(run.stdout.split())


host = Host("orphan_timeout: 1h\n")
holds("a host that nothing was deployed to", "nothing was ever deployed on this host", status(host))
Deployment(host, "d-OLD", bundle(revision("old"))).all()
holds("one that is complete", "runs d-OLD s3://b/app.tgz", status(host))
equal("it has no caution", False, "caution" in status(host))

new = Deployment(host, "d-NEW", bundle(revision("new", extra={
    "AfterInstall": "echo it runs\nwhile [ ! -e %s/go ]; do sleep 0.05; done\n" % host.root})))
new.all(SEVEN[:4])
text = status(host)
holds("between two commands it waits", "now d-NEW open for", text)
holds("for the endpoint", "waits for the endpoint's next command since", text)
holds("until then", "it is rolled back (orphan_timeout)", text)

run = new.start("AfterInstall")
new.follow(run, until=lambda event: event["event"] == "output")
text = status(host)
holds("in a script it says which event", "now d-NEW running for", text)
holds("and how to see more", "AfterInstall for", text)
run.kill()
text = status(host)
holds("when its worker is gone, nobody works at it", "it is half way, and nobody works at it: 'slipway recover' finishes or undoes it", text)
open(host.path("go"), "w").close()
host.recover()
text = status(host)
holds("then it is over", "last d-NEW rolled back", text)
holds("with the event", "failed at AfterInstall", text)
equal("and nothing is open", False, " now " in text)
done_testing()
