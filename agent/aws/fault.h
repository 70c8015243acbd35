/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of AWS after which the same request may be accepted, signed anew. Pure. */
#pragma once

enum aws_fault {
	AWS_FAULT_OTHER,
	AWS_FAULT_EXPIRED, /* the credentials: ask with others (aws_provider_refused) */
	AWS_FAULT_SKEW,    /* maybe the time of signing (aws_provider_set_clock) */
};
/* code: "ExpiredTokenException", "RequestTimeTooSkewed"; as __type or S3's Code has it. */
enum aws_fault aws_fault_of(const char *code);
