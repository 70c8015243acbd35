// SPDX-License-Identifier: Apache-2.0
#include "control/cmd.h"

int main(int argc, char **argv)
{
	return cmd_main(argc, argv);
}
