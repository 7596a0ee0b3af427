"""Run a statement in an interactive impala-shell on a terminal, press Ctrl-C while it runs, then run a second one.

    ishell_cancel.py SECONDS LONG_STATEMENT SHORT_STATEMENT ARGUMENT...

ARGUMENT...: the shell and its options. Prints one line of JSON: how long the long statement lasted after Ctrl-C
(seconds), what the shell showed after it, what it showed for the short statement, and how the shell ended.
SECONDS is the deadline of every single wait.
"""

import json
import os
import pty
import re
import select
import signal
import sys
import time

PROMPT = re.compile(rb"\[[^\]\r\n]+\] [^>\r\n]*> ?")
COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Shell:
    """The shell's process behind a pseudo terminal, and all that it has printed and nobody waited for yet."""

    def __init__(self, arguments, seconds):
        self.seconds = seconds
        self.unread = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "dumb"
            os.execvp(arguments[0], arguments)

    def say(self, text):
        os.write(self.terminal, text.encode() + b"\n")

    def press_ctrl_c(self):
        os.write(self.terminal, b"\x03")

    def wait_for(self, pattern):
        """Reads until the pattern is there; returns all up to and with it."""
        until = time.monotonic() + self.seconds
        while not (found := pattern.search(self.unread)):
            self.read(until - time.monotonic())
        text = self.unread[: found.end()]
        self.unread = self.unread[found.end() :]
        return text.decode()

    def read(self, seconds):
        ready, _, _ = select.select([self.terminal], [], [], max(seconds, 0))
        if not ready:
            self.give_up("nothing came in time")
        try:
            more = os.read(self.terminal, 65536)
        except OSError:  # the other end of a terminal is gone
            more = b""
        if not more:
            self.give_up("the shell ended")
        self.unread = COLOURS.sub(b"", self.unread + more)

    def give_up(self, why):
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(f"{why}; the last that the shell showed: {self.unread.decode(errors='replace')}")

    def end(self):
        """Leaves the shell as a user does; returns its exit status."""
        self.say("quit;")
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            ready, _, _ = select.select([self.terminal], [], [], 0.1)
            try:
                gone = ready and not os.read(self.terminal, 65536)
            except OSError:
                gone = True
            if gone:
                return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.give_up("the shell did not end")


def main():
    seconds, long_statement, short_statement, *arguments = sys.argv[1:]
    shell = Shell(arguments, float(seconds))
    shell.wait_for(PROMPT)
    shell.say(long_statement + ";")
    shell.wait_for(re.compile(rb"Query state can be monitored|Query submitted at"))
    wait_until_running(shell)
    pressed = time.monotonic()
    shell.press_ctrl_c()
    after = shell.wait_for(PROMPT)
    lasted = time.monotonic() - pressed
    shell.say(short_statement + ";")
    shell.wait_for(re.compile(rb";"))
    short = shell.wait_for(PROMPT)
    print(json.dumps({"lasted": lasted, "after": lines(after), "short": lines(short), "code": shell.end()}))


def wait_until_running(shell):
    """The shell prints nothing more until it has rows, so there is nothing to wait for but a second of its polls."""
    until = time.monotonic() + 1.0
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([shell.terminal], [], [], left)
        if ready:
            shell.read(left)


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not PROMPT.search(line.encode())]


main()
