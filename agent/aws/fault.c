// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/fault.h"

#include "common/attr.h"
#include "common/str.h"

enum aws_fault aws_fault_of(const char *code)
{
	static const struct {
		const char *code;
		enum aws_fault fault;
	} faults[] = {
		{"ExpiredToken", AWS_FAULT_EXPIRED},
		{"ExpiredTokenException", AWS_FAULT_EXPIRED},
		{"TokenRefreshRequired", AWS_FAULT_EXPIRED},
		{"InvalidToken", AWS_FAULT_EXPIRED},
		{"InvalidClientTokenId", AWS_FAULT_EXPIRED},
		{"UnrecognizedClientException", AWS_FAULT_EXPIRED},
		{"InvalidAccessKeyId", AWS_FAULT_EXPIRED},
		{"AuthFailure", AWS_FAULT_EXPIRED},
		{"RequestTimeTooSkewed", AWS_FAULT_SKEW},
		{"RequestExpired", AWS_FAULT_SKEW},
		{"RequestInTheFuture", AWS_FAULT_SKEW},
		{"InvalidSignatureException", AWS_FAULT_SKEW},
		{"SignatureDoesNotMatch", AWS_FAULT_SKEW},
	};
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (str_eq(faults[i].code, code))
			return faults[i].fault;
	return AWS_FAULT_OTHER;
}
