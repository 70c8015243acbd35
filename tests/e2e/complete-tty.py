#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Type into a real interactive shell and press TAB: complete-tty.py bash|zsh SETUP [TYPED EXPECTED]...

SETUP is a shell command that loads the completion. For each pair the line is cleared, TYPED is typed and TAB pressed
(twice when TYPED ends with a blank: bash lists on the second); EXPECTED must then stand on the terminal. Ends with the
number of pairs that failed, or 99 when the shell did not start."""
import os
import pty
import select
import signal
import sys
import time

SECONDS = 20


class Shell:
    def __init__(self, name):
        argv = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[name]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", PS1="$ ", PS2="> ", COLUMNS="200", LINES="100")
            os.execvp(argv[0], argv)

    def type(self, text):
        os.write(self.fd, text.encode())

    def await_text(self, wanted):
        """Read until the text is there; what was read."""
        seen, end = "", time.monotonic() + SECONDS
        while wanted not in seen and time.monotonic() < end:
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                break
        return seen

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def main():
    name, setup, pairs = sys.argv[1], sys.argv[2], sys.argv[3:]
    shell = Shell(name)
    try:
        # the text to wait for must not be the echo of what is typed
        shell.type(setup + "; stty cols 200; echo rea''dy-$((40 + 2))\n")
        seen = shell.await_text("ready-42")
        if "ready-42" not in seen:
            print("the shell did not start:\n" + seen)
            return 99
        failed = 0
        for typed, expected in zip(pairs[::2], pairs[1::2]):
            shell.type("\x15" + typed + ("\t\t" if typed.endswith(" ") else "\t"))
            seen = shell.await_text(expected)
            if expected not in seen:
                failed += 1
                print("%r did not give %r, but %r" % (typed, expected, seen))
        return failed
    finally:
        shell.end()


sys.exit(main())
