"""Odd surroundings: locales, homes, users, disks and clocks that commands may be run in."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from campaign_lab import STATE, Commands, changed, processes, rows_of, snapshot, wait_for
from campaign_strangers import Scene, template

NO_FLOCK = """
#include <errno.h>
int flock(int fd, int operation) { errno = ENOLCK; return -1; }
int lockf(int fd, int command, long size) { errno = ENOLCK; return -1; }
"""
LOOK = [("status",), ("jobs",), ("gates",), ("lint",), ("hub",), ("debug",), ("jobs", "--json")]
Made = tuple[dict[str, str], tuple[str, ...]]
"""Variables over the environment, and what is put in front of a command."""
Surround = Callable[[Scene], Made | None]
"""Makes surroundings; None where they cannot be had here."""


def shell(words: str) -> tuple[str, ...]:
    """A prefix that does something first; the command comes in its place of `"$@"`."""
    return ("sh", "-c", f'{words}; exec "$@"', "sh")


def locale(name: str, charmap: str) -> Surround:
    def surround(scene: Scene) -> Made | None:
        if shutil.which("localedef") is None:
            return None
        folder = scene.folder / "locales"
        folder.mkdir(exist_ok=True)
        made = folder / f"{name}.{charmap}"
        source = ["localedef", "-c", "-i", name, "-f", charmap, str(made)]
        subprocess.run(source, capture_output=True, check=False)
        if not made.is_dir():
            return None
        env = {"LC_ALL": made.name, "LANG": made.name, "LOCPATH": str(folder), "PYTHONUTF8": "0"}
        return {**env, "PYTHONCOERCECLOCALE": "0"}, ()

    return surround


def environment(**env: str) -> Surround:
    return lambda _: (env, ())


def first(words: str, *needs: str) -> Surround:
    """Something done by a shell before the command; {lab} is filled in."""

    def surround(scene: Scene) -> Made | None:
        if not all(map(shutil.which, needs)):
            return None
        return {}, shell(words.format(lab=scene.folder / "lab"))

    return surround


def unshared(words: str, *flags: str) -> Surround:
    """In a name space of its own, where the kernel lets us."""

    def surround(scene: Scene) -> Made | None:
        own = flags if os.getuid() == 0 or "-U" in flags else ("-Ur", *flags)
        before = ("unshare", *own, *shell(words.format(lab=scene.folder / "lab")))
        try:
            probe = subprocess.run([*before, "true"], capture_output=True, check=False)
        except OSError:
            return None
        return ({}, before) if probe.returncode == 0 else None

    return surround


def _locked(scene: Scene) -> Made | None:
    subprocess.run(["chmod", "-R", "a-w", str(scene.folder / "lab")], check=True)
    return {}, ()


def _no_bytes(_: Scene) -> Made | None:
    """What the command writes to is a pipe, so that only its files have to stay empty."""
    words = '(ulimit -f 0; exec "$@") > >(cat) 2> >(cat >&2); status=$?; sleep 0.1; exit $status'
    return ({}, ("bash", "-c", words, "sh")) if shutil.which("bash") else None


def _no_flock(scene: Scene) -> Made | None:
    compiler, library = shutil.which("cc"), scene.folder / "noflock.so"
    if compiler is None:
        return None
    words = [compiler, "-shared", "-fPIC", "-x", "c", "-o", str(library), "-"]
    subprocess.run(words, input=NO_FLOCK.encode(), check=True)
    return {"LD_PRELOAD": str(library)}, ()


def clock(when: str) -> Surround:
    def surround(_: Scene) -> Made | None:
        return ({}, ("faketime", "-f", when)) if shutil.which("faketime") else None

    return surround


READS, WRITES, RUNS = "reads", "writes", "runs"
"""What has to work: looking; also writing, or a line that says why not; also a job."""
SURROUNDINGS: dict[str, tuple[str, Surround]] = {
    "GBK": (RUNS, locale("zh_CN", "GBK")),
    "Latin-1": (RUNS, locale("en_US", "ISO-8859-1")),
    "the C locale": (RUNS, environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")),
    "an unknown locale": (RUNS, environment(LC_ALL="xx_XX.nothing")),
    "no HOME": (WRITES, environment(HOME="-")),
    "a HOME that is not there": (WRITES, environment(HOME="/nowhere/at/all")),
    "an empty HOME": (WRITES, environment(HOME="")),
    "a HOME that is a file": (WRITES, environment(HOME="/etc/passwd")),
    "a state folder that is a file": (WRITES, environment(XDG_STATE_HOME="/etc/passwd")),
    "an unknown user": (WRITES, unshared(":", "-U", "--map-user=54321")),
    "no user, no HOME": (WRITES, unshared("unset HOME USER LOGNAME", "-U", "--map-user=54321")),
    "a lab without write mode": (READS, _locked),
    "a read-only disk": (
        READS,
        unshared("mount --bind {lab} {lab} && mount -o remount,bind,ro {lab}", "-m"),
    ),
    "a full disk": (
        WRITES,
        unshared("mount -t tmpfs -o size=4k,nr_inodes=2 none {lab}/.vitlab", "-m"),
    ),
    "files of 0 bytes only": (WRITES, _no_bytes),
    "few open files": (READS, first("ulimit -n 24")),
    "no flock": (RUNS, _no_flock),
    "an odd TZ": (RUNS, environment(TZ="Nowhere/At/All:::,,%\x7f")),
    "TZ of Kathmandu": (RUNS, environment(TZ="Asia/Kathmandu")),
    "a clock three days behind": (READS, clock("-3d")),
    "a clock ten years ahead": (READS, clock("+3650d")),
    "a clock at zero": (READS, clock("1970-01-01 00:00:10")),
    "no TERM": (READS, environment(TERM="-", COLUMNS="-1", LINES="x")),
    "columns of nonsense": (READS, environment(COLUMNS="abc", TERM="nothing")),
    "no columns": (READS, environment(COLUMNS="0")),
    "no temporary folder": (READS, environment(TMPDIR="/nowhere", TMP="-", TEMP="-")),
    "stdin closed": (WRITES, first("exec <&-")),
    "a umask of 777": (READS, first("umask 777")),
    "a PATH of nothing": (WRITES, environment(PATH="")),
    "warnings are errors": (READS, environment(PYTHONWARNINGS="error")),
}
"""Name: what has to work, and what makes it."""
SHELLED = {
    "stdout closed": '"$@" >&-',
    "stderr closed": '"$@" 2>&-',
    "stdout full": '"$@" >/dev/full',
    "a pipe nobody reads": '"$@" | true',
    "the folder is gone": 'mkdir gone && cd gone && rmdir ../gone && "$@"',
}
"""Shell words around a command: no traceback may come of it."""


def _surrounded(scene: Scene, name: str) -> bool:
    """Run the commands in these surroundings; False where they cannot be had here."""
    need, surround = SURROUNDINGS[name]
    lab = scene.lab()
    well = lab.rows()
    if (made := surround(scene)) is None:
        return False
    env, before = made
    text = (lab.root / lab.roadmap).read_text()
    home = snapshot(scene.run.home, STATE)
    for argv in LOOK:
        answer = scene.ask(lab, *argv, env=env, before=before)
        if answer.status not in ((0, 1) if argv[0] == "lint" else (0,)):
            scene.found.append(f"{answer.short()}: looking has to work")
        if argv[0] == "jobs" and "--json" in argv:
            rows = rows_of(answer)
            if {job: row.get("values") for job, row in rows.items()} != {
                job: row.get("values") for job, row in well.items()
            }:
                scene.found.append(f"{answer.short()}: other rows than elsewhere")
    status = ("set", lab.roadmap, "--mvp", "4.0", "--status", "ready")
    for argv in (status, ("sync", "--yes"), ("undo",), ("compare",), ("run", "2.0", "--json")):
        answer = scene.ask(lab, *argv, env=env, before=before, limit=40)
        if need == RUNS and answer.status != 0:
            scene.found.append(f"{answer.short()}: it has to work")
    jobs = (answer.json() or {"jobs": []})["jobs"] if answer.status == 0 else []
    for job in jobs if "disk" not in name else []:
        if not wait_for(lambda job=job: (lab.root / job / "exit.json").exists(), 15):
            scene.found.append(f"the job launched does not end: {job}")
    subprocess.run(["chmod", "-R", "u+w", str(lab.root)], check=True)
    after = (lab.root / lab.roadmap).read_text()
    if after[:80] != text[:80] or after.count("\n## ") != text.count("\n## "):
        scene.found.append("the roadmap is torn")
    for row in scene.rows(lab).values() if jobs and "disk" not in name else []:
        if row.get("outcome") != "ok":
            scene.found.append(f"a job is {row.get('state')} {row.get('outcome')}, not ok")
    if differ := changed(home, snapshot(scene.run.home, STATE)):
        scene.found.append(f"written in the home: {differ[:3]}")
    return True


def _shelled(scene: Scene, name: str) -> None:
    lab = scene.lab()
    for argv in LOOK:
        words = (sys.executable, "-m", "vitlab", *argv)
        before = ("sh", "-c", SHELLED[name], "sh", *words)
        answer = scene.run(lab.root, env={"X": ""}, before=before, program=("true",))
        scene.tried += 1
        if answer.status is None or b"Traceback" in answer.err + answer.out:
            last = answer.err.decode("utf-8", "replace").strip().splitlines()[-1:]
            scene.found.append(f"{name}: `vitlab {' '.join(argv)}`: {last or 'hang'}")
        if re.search(rb"Exception ignored|BrokenPipeError", answer.err):
            scene.found.append(f"{name}: `vitlab {' '.join(argv)}` complains of the pipe")


def surroundings(
    run: Commands, folder: Path, seed: str, only: str = "all"
) -> Iterator[tuple[str, int, list[str]]]:
    """Do these; name, commands run (0: not to be had here), what was found."""
    source = template(run, folder)
    for number, name in enumerate([*SURROUNDINGS, *SHELLED]):
        if only not in ("all", name):
            continue
        scene = Scene(source, folder / f"surroundings-{number}", f"{seed}/{name}", True)
        try:
            if name in SHELLED:
                _shelled(scene, name)
            elif not _surrounded(scene, name):
                scene.tried = 0
        except AssertionError as error:
            scene.found.append(f"a command failed that has to succeed: {str(error)[:300]}")
        yield name, scene.tried, scene.found
        for pid in processes(str(scene.folder)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["chmod", "-R", "u+rwx", str(scene.folder)], check=False)
        shutil.rmtree(scene.folder, ignore_errors=True)
