#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command in a terminal of its own: terminal.py [OPTION]... OUT COMMAND...

What it writes goes to OUT; on stdout comes what a person would see at its end, as a terminal draws it. Ends as the
command does (128 + the signal that ended it).

    --size COLUMNSxROWS       default: 80x24
    --at TEXT ACTION          when TEXT has been written, once: a size, SIGINT (typed, as by Ctrl-C) or touch:FILE
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

SECONDS = 60


def draw(data, columns):
    """The lines on a terminal of that width, after these bytes. A control sequence that it does not know is shown."""
    rows, row, col = [[]], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|.", data.decode(errors="replace"), re.S):
        if part == "\r":
            col = 0
        elif part == "\n":
            row, col = row + 1, 0
        elif part == "\x1b[K":
            del rows[row][col:]
        elif re.fullmatch(r"\x1b\[\d*A", part):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[J":
            del rows[row][col:], rows[row + 1:]
        else:
            for char in part.replace("\x1b", "^["):
                if col == columns:
                    row, col = row + 1, 0
                while row >= len(rows):
                    rows.append([])
                rows[row].extend(" " * (col - len(rows[row])))
                rows[row][col:col + 1] = [char]
                col += 1
        while row >= len(rows):
            rows.append([])
    return "\n".join("".join(line).rstrip() for line in rows).rstrip("\n") + "\n"


def resize(fd, size):
    columns, rows = map(int, size.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return columns


def act(fd, action, columns):
    if action == "SIGINT":
        os.write(fd, b"\x03")
    elif action.startswith("touch:"):
        open(action[6:], "w").close()
    else:
        return resize(fd, action)
    return columns


def main(args):
    size, actions = "80x24", []
    while args[0].startswith("--"):
        if args[0] == "--size":
            size, args = args[1], args[2:]
        else:
            actions, args = actions + [(args[1].encode(), args[2])], args[3:]
    pid, fd = pty.fork()
    if pid == 0:
        # not before the terminal has its size
        sys.stdin.readline()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored below a shell's background job
        os.execvp(args[1], args[1:])
    columns = resize(fd, size)
    attributes = termios.tcgetattr(fd)
    attributes[3] &= ~(termios.ECHO | termios.ECHOCTL)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    os.write(fd, b"\n")
    data, end, ended, status = b"", time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end:
        if not select.select([fd], [], [], 0.2)[0]:
            # what it has left running may hold the terminal for longer
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            continue
        try:
            read = os.read(fd, 65536)
        except OSError:
            break
        if not read:
            break
        data += read
        while actions and actions[0][0] in data:
            columns = act(fd, actions.pop(0)[1], columns)
    open(args[0], "wb").write(data)
    sys.stdout.write(draw(data, columns))
    if not ended and time.monotonic() >= end:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status if ended else os.waitpid(pid, 0)[1])


code = main(sys.argv[1:])
sys.exit(code if code >= 0 else 128 - code)
