# SPDX-License-Identifier: Apache-2.0

# SLIPWAY_WARNINGS: the warnings that every file is compiled with, and --enable-werror.
AC_DEFUN([SLIPWAY_WARNINGS], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make every warning an error])],
		[], [enable_werror=no])
	WARN_FLAGS="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef -Wno-unused-parameter"
	AS_IF([test "x$enable_werror" = xyes], [WARN_FLAGS="$WARN_FLAGS -Werror"])
	AC_SUBST([WARN_FLAGS])
])

# SLIPWAY_SANITIZERS: --enable-sanitizers compiles everything with ASan and UBSan.
AC_DEFUN([SLIPWAY_SANITIZERS], [
	AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers],
		[compile with AddressSanitizer and UndefinedBehaviorSanitizer])], [], [enable_sanitizers=no])
	AS_IF([test "x$enable_sanitizers" = xyes],
		[SAN_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
		AC_DEFINE([SANITIZERS], [1], [Built with the sanitizers, which need /proc and more system calls.])],
		[SAN_FLAGS=])
	AC_SUBST([SAN_FLAGS])
	AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" = xyes])
])

# SLIPWAY_FUZZER: --enable-fuzzer links the fuzz targets with libFuzzer (clang); otherwise they replay their seeds.
AC_DEFUN([SLIPWAY_FUZZER], [
	AC_ARG_ENABLE([fuzzer], [AS_HELP_STRING([--enable-fuzzer], [link the fuzz targets with libFuzzer (clang only)])],
		[], [enable_fuzzer=no])
	FUZZ_COMPILE_FLAGS= FUZZ_LINK_FLAGS=
	AS_IF([test "x$enable_fuzzer" = xyes],
		[FUZZ_COMPILE_FLAGS="-fsanitize=fuzzer-no-link" FUZZ_LINK_FLAGS="-fsanitize=fuzzer"])
	AC_SUBST([FUZZ_COMPILE_FLAGS])
	AC_SUBST([FUZZ_LINK_FLAGS])
	AM_CONDITIONAL([FUZZER], [test "x$enable_fuzzer" = xyes])
])
