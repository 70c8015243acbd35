// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/run.h"

int main(int argc, char **argv)
{
	return run_main(argc, argv);
}
