"""Programs that the lab starts and ends."""

import shlex
import subprocess
import sys

VERBOSE = False


class LabError(Exception):
    """What keeps the lab from working: a message for whoever runs it."""


def say(*words):
    print("test-rdma:", *words, file=sys.stderr, flush=True)


def call(command, check=True):
    """Runs a short command to its end; its output. Unless it is to be checked, failing is no
    error."""
    if VERBOSE:
        say("+", command)
    done = subprocess.run(shlex.split(command), capture_output=True, text=True)
    if check and done.returncode:
        raise LabError(f"{command}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Process:
    """A program in a network namespace, its output in a file. It ends when the lab does, even if
    the lab is killed, and Ctrl-C is not for it but for the lab."""

    def __init__(self, namespace, command, log):
        self.name, self.log = " ".join(command[:2]), log
        into = ["ip", "netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL"]
        if VERBOSE:
            say("+", shlex.join(into + command))
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                into + command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self):
        """Fails if it has ended."""
        status = self.process.poll()
        if status is not None:
            with open(self.log, errors="replace") as log:
                last = log.read().strip().splitlines()[-3:]
            raise LabError(f"{self.name} ended with {status}: {' '.join(last)} ({self.log})")

    def end(self, patience=5.0):
        """SIGTERM and, after so many seconds, SIGKILL; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
