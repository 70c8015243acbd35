#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The fake's own signatures, against those that AWS has published.
exec python3 "${top_srcdir:?run it by make check}/tests/aws/sigv4.py" "$top_srcdir/tests/data/sigv4/vectors.json"
