// SPDX-License-Identifier: Apache-2.0
/* slipway-unpack: see bundle-child.h. */
#include "agent/worker/bundle-child.h"

#include <fcntl.h>
#include <stdio.h>

#define CONTROL 3
#define DATA 4
#define DIRECTORY 5

int main(void)
{
	if (fcntl(CONTROL, F_GETFD) < 0 || fcntl(DATA, F_GETFD) < 0 ||
	    fcntl(DIRECTORY, F_GETFD) < 0) {
		fputs(BUNDLE_CHILD " is started by slipway-worker, not by hand\n", stderr);
		return 2;
	}
	bundle_child_main(CONTROL, DATA, DIRECTORY);
}
