"""Strangers' labs: what a lab that comes from somebody else may do to whoever looks at it.

Each case plants something in a copy of a lab and runs commands. Afterwards the home, the folder
beside the lab and every process are as before, and no planted program has run.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from campaign_lab import (
    LOOKS,
    STATE,
    Answer,
    Commands,
    Lab,
    alive,
    changed,
    faults,
    make_lab,
    processes,
    snapshot,
    wait_for,
)

SECRET = "xyzzy-4711"
"""What no command may show, send or copy."""
CONSOLE = Path(sys.executable).with_name("vitlab")
"""The installed command: unlike `python -m`, it does not look for modules in the lab."""


class Scene:
    """One case: folders, a copy of the lab, and what is found wrong."""

    def __init__(self, template: Lab, folder: Path, seed: str, thorough: bool) -> None:
        self.run, self.folder, self.template = template.run, folder, template
        self.thorough, self.draw = thorough, random.Random(seed)
        self.outside = folder / "outside"
        self.outside.mkdir(parents=True)
        (self.outside / "secret.csv").write_text(f"a,b\n{SECRET},1\n")
        (self.outside / "notes.md").write_text("# Mine\n")
        self.canary = self.outside / "canary"
        self.touch = [sys.executable, "-S", "-c", f"open({str(self.canary)!r}, 'w')"]
        self.found: list[str] = []
        self.tried = 0

    def lab(self, name: str = "lab") -> Lab:
        """A copy of the lab: an ended job, plans, experiments."""
        root = self.folder / name
        shutil.copytree(self.template.root, root, symlinks=True)
        return Lab(root, self.run)

    def job(self, lab: Lab) -> Path:
        """The folder of the ended job."""
        return next(lab.root.glob("experiments/*/*/spec.json")).parent

    def ask(self, lab: Lab, *argv: str, **more: Any) -> Answer:
        """Run a command; a crash is noted."""
        self.tried += 1
        answer = self.run(lab.root, *argv, **more)
        found = faults(answer)
        if "LC_ALL" in (more.get("env") or {}):  # its own encoding is meant
            found = [one for one in found if "no UTF-8" not in one]
        self.found += found
        return answer

    def look(self, lab: Lab, *further: tuple[str, ...], **more: Any) -> None:
        """Run looking commands: all of them, or a few and the most usual."""
        looks = LOOKS if self.thorough else [self.draw.choice(LOOKS), ("status",)]
        for argv in [*looks, ("jobs", "--json"), *further]:
            self.ask(lab, *argv, **more)

    def rows(self, lab: Lab) -> dict[str, dict[str, Any]]:
        self.tried += 1
        return lab.rows()

    @contextlib.contextmanager
    def untouched(self, what: str, lab: Lab | None = None) -> Iterator[None]:
        """Nothing is written outside the lab, and no planted program runs, in this block."""

        def now() -> dict[str, tuple[Any, ...]]:
            """The folder beside the lab, the home, and the lab that this one is a copy of."""
            home = snapshot(self.run.home, STATE)
            other = snapshot(self.template.root)
            found = {**snapshot(self.outside), **{f"~/{name}": one for name, one in home.items()}}
            return {**found, **{f"original/{name}": one for name, one in other.items()}}

        before = now()
        yield
        if lab is not None:
            wait_for(lambda: not processes(str(lab.root)), 8)
        if self.canary.exists():
            self.found.append(f"{what}: a planted program was run")
            self.canary.unlink()
        if differ := changed(before, now()):
            self.found.append(f"{what}: written outside the lab: {differ[-3:]}")


Case = Callable[[Scene], None]
CASES: dict[str, tuple[str, bool, Case]] = {}
"""Name: area, whether it is cheap, what to do."""


def case(area: str, cheap: bool = True) -> Callable[[Case], Case]:
    def enter(function: Case) -> Case:
        CASES[function.__name__.replace("_", " ")] = (area, cheap, function)
        return function

    return enter


def with_argv(value: Any, argv: list[str]) -> Any:
    """The same JSON with every argv in it replaced."""
    if isinstance(value, dict):
        return {
            key: argv if key.endswith("argv") else with_argv(one, argv)
            for key, one in value.items()
        }
    return [with_argv(one, argv) for one in value] if isinstance(value, list) else value


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@case("launching")
def a_job_folder_that_nobody_submitted(scene: Scene) -> None:
    kept = {
        "spec alone": {"spec.json"},
        "spec and queue": {"spec.json", "queue.json"},
        "as queued": {"spec.json", "queue.json", "environment.json", "code.diff", "program"},
        "with a request to resume": {"spec.json", "queue.json", "started.json", "exit.json"},
        "lost": {"spec.json", "queue.json", "started.json", "environment.json"},
    }
    names = [*kept] if scene.thorough else ["spec alone", scene.draw.choice([*kept][1:])]
    for name in names:
        files, lab = kept[name], scene.lab(name.replace(" ", "-"))
        source = scene.job(lab)
        job = source.with_name(source.name.replace("1", "2") + "x")
        shutil.copytree(source, job)
        for entry in job.iterdir():
            if entry.name not in files:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        edit_json(job / "spec.json", lambda spec: with_argv(spec, scene.touch))
        if "resume" in name:
            edit_json(job / "exit.json", lambda end: {**end, "reason": "killed", "signal": 9})
            (job / "resume").write_text("")
        if name == "lost":
            queue = {"queue": {"on_lost": "resume"}}
            edit_json(job / "spec.json", lambda spec, queue=queue: {**spec, **queue})
        with scene.untouched(name, lab):
            scene.look(lab, ("sync", "--yes"))
        row = scene.rows(lab).get(str(job.relative_to(lab.root)))
        if row is None:
            scene.found.append(f"{name}: the foreign job has no row")
        elif row.get("state") in ("queued", "running", "done") and "submitted" not in str(row):
            scene.found.append(f"{name}: the foreign job is told as {row.get('state')} only")


@case("launching")
def a_copied_lab(scene: Scene) -> None:
    lab = scene.lab("original")
    lab.training("2.0", epochs=1, seconds=3000)
    lab.training("3.0", epochs=1, seconds=3000)
    (running,), (queued,) = lab.launch("2.0"), lab.launch("3.0")
    line = wait_for(lambda: [one for one in scene.run.told() if Path(running).name in one])
    pids = [int(word) for word in line[0][2:4]]
    begun = len(scene.run.told())
    copy = scene.folder / "copy"
    subprocess.run(["cp", "-a", str(lab.root), str(copy)], check=True)
    with scene.untouched("a copy"):
        stranger = Lab(copy, scene.run)
        scene.look(stranger)
        for command in ("stop", "resume"):
            scene.ask(stranger, command, str(copy / running))
        scene.look(stranger)
    wait_for(lambda: not all(map(alive, pids)), 1.5)
    if not all(map(alive, pids)):
        scene.found.append("commands in a copy of a lab end the job of the original")
    if [one for one in scene.run.told()[begun:] if one[0] == "begin"]:
        scene.found.append("looking at a copy of a lab starts its queued job")
    if lab.state(running) != "running" or lab.state(queued) != "queued":
        scene.found.append("commands in a copy of a lab change the original's jobs")
    for pid in pids[::-1]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


@case("launching")
def a_queued_job_changed_after_its_submission(scene: Scene) -> None:
    for name in ("spec", "environment"):
        lab = scene.lab(name)
        lab.training("2.0", epochs=1, seconds=1.5)
        lab.ok("run", "2.0")
        (queued,) = lab.launch("3.0")
        folder = lab.root / queued
        planted = scene.folder / "planted"
        planted.mkdir(exist_ok=True)
        (planted / "sitecustomize.py").write_text(f"open({str(scene.canary)!r}, 'w')\n")
        with scene.untouched(f"{name} changed", lab):
            if name == "spec":
                edit_json(folder / "spec.json", lambda spec: with_argv(spec, scene.touch))
            else:
                text = (folder / "environment.json").read_text()
                path = json.dumps(str(planted))
                new = re.sub(r'"HOME": *"[^"]*"', rf'"PYTHONPATH": {path}, \g<0>', text)
                (folder / "environment.json").write_text(new)
            wait_for(lambda lab=lab, job=queued: lab.state(job) != "queued", 6)
            scene.look(lab)


def packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 1)).decode()


@case("documents")
def a_journal_of_somebody_else(scene: Scene) -> None:
    home, mine = scene.run.home, scene.outside / "notes.md"
    made = {"made": True, "new": packed("evil\n"), "edits": [[0, "", "evil\n"]]}
    edit = {"made": False, "new": packed("evil\n"), "edits": [[0, "# Mine\n", "evil\n"]]}
    back = {"made": False, "new": packed("# Mine\n"), "edits": [[0, "evil\n", "# Mine\n"]]}
    entries = {
        "a file of the home": {"path": str(home / ".bash_profile"), **made},
        "a relative path": {"path": "../outside/made.md", **made},
        "a path through the lab": {"path": "LAB/roadmaps/../../outside/made.md", **made},
        "an edit outside": {"path": str(mine), **edit},
        "the undo of an edit outside": {"path": str(mine), **back},
        "a file made outside": {"path": str(mine), **{**made, "new": packed("# Mine\n")}},
        "a script of the lab": {"path": "LAB/work/train.py", **made},
        "the settings": {"path": "LAB/vitlab.yaml", **made},
        "a link in the lab": {"path": "LAB/roadmaps/link_roadmap.md", **edit},
        "a journal entry": {"path": "LAB/.vitlab/journal/x.json", **made},
    }
    chosen = [*entries.items()]
    for number, (name, file) in enumerate(
        chosen if scene.thorough else scene.draw.sample(chosen, 3)
    ):
        lab = scene.lab(f"journal-{number}")
        if "link" in name:
            (lab.root / "roadmaps" / "link_roadmap.md").symlink_to(mine)
        journal = lab.root / ".vitlab" / "journal"
        last = max(int(path.name.split(".")[0]) for path in journal.glob("0*.json"))
        file = {**file, "path": file["path"].replace("LAB", str(lab.root))}
        script = snapshot(lab.root / "work")
        settings = (lab.root / "vitlab.yaml").read_bytes()
        roadmap = (lab.root / lab.roadmap).read_text()
        begun = {"path": str(lab.root / lab.roadmap), "made": False, "new": packed(roadmap)}
        begun["edits"] = [[0, "x", roadmap[0]]]  # one that is written asks for the others
        for state in ("done", "undone"):
            entry = {"number": last + 1, "state": state, "fresh": True, "files": [begun, file]}
            sealed = f"{'0' * 64}\n" + json.dumps({"v": 2, **entry})
            for target in ("unfinished.json", f"{last + 1:08d}.done.json"):
                text = scene.draw.choice([json.dumps({"v": 1, **entry}), sealed])
                (journal / target).write_text(text)
                with scene.untouched(f"{name} ({target}, {state})"):
                    scene.ask(lab, scene.draw.choice(["status", "jobs", "lint"]))
                    scene.ask(lab, scene.draw.choice(["undo", "redo"]))
                (journal / target).unlink(missing_ok=True)
            if changed(script, snapshot(lab.root / "work")):
                scene.found.append(f"{name} ({state}): a script of the lab is written")
            if settings != (lab.root / "vitlab.yaml").read_bytes():
                scene.found.append(f"{name} ({state}): the settings are written")


@case("launching")
def a_process_that_is_not_the_jobs(scene: Scene) -> None:
    victim = subprocess.Popen(["sleep", "600"], start_new_session=True)
    ticks = Path(f"/proc/{victim.pid}/stat").read_text().rpartition(") ")[2].split()[19]

    def forged(started: dict[str, Any]) -> dict[str, Any]:
        new = dict(started)
        for key, one in started.items():
            if isinstance(one, int) and re.search("pid|session|group|child|leader", key):
                new[key] = victim.pid
            elif re.search("tick|start_time|began", key) and isinstance(one, int):
                new[key] = int(ticks)
        return new

    for number, requests in enumerate([[], ["stop"], ["resume"]]):
        lab = scene.lab(f"forged-{number}")
        job = scene.job(lab)
        for name in ("exit.json", "result.json"):
            (job / name).unlink()
        edit_json(job / "started.json", forged)
        for name in requests:
            (job / name).write_text("")
        with scene.untouched("a forged started.json"):
            scene.look(lab, ("stop", str(job)), ("resume", str(job)), ("status",))
        if wait_for(lambda: not alive(victim.pid), 0.3 + 2 * bool(requests)):
            scene.found.append(f"a process that is not the job's is ended (with {requests})")
            break
    victim.kill()
    victim.wait()


HOOKS = "core.fsmonitor diff.external filter.x.clean filter.x.process diff.x.textconv core.pager"
HOOKS += " diff.x.command core.sshCommand core.hooksPath"


@case("launching")
def a_repository_that_runs_programs(scene: Scene) -> None:
    if shutil.which("git") is None:
        return
    evil = scene.folder / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {scene.canary}\ncat\n")
    evil.chmod(0o755)
    keys = HOOKS.split()
    for key in keys if scene.thorough else [scene.draw.choice(keys[:3])]:
        lab = scene.lab(key)
        git = ["git", "-C", str(lab.root), "-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "work"], ["commit", "-qm", "x"]):
            subprocess.run([*git, *words], check=True, capture_output=True)
        (lab.root / ".gitattributes").write_text("* filter=x diff=x\n")
        with (lab.root / "work" / "train.py").open("a") as file:
            file.write("#\n")
        subprocess.run([*git, "config", key, str(evil)], check=True)
        (lab.root / "experiments" / "mvp_4.0.yaml").unlink()
        with scene.untouched(f"a repository's {key}", lab):
            scene.look(lab)
            scene.ask(lab, "new", "4.0", "--script", "work/train.py", "--dry-run")
            scene.ask(lab, "run", "2.0", "--wait")


@contextlib.contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine, and what was sent to it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    connection.settimeout(0.5)
                    heard.append(b"")
                    with connection, contextlib.suppress(OSError):
                        heard[-1] = connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


@case("launching")
def an_address_to_call(scene: Scene) -> None:
    for scheme in ("http", "https"):
        with listener() as (port, heard):
            lab = scene.lab(scheme)
            notify = {"webhook": f"{scheme}://127.0.0.1:{port}/x", "desktop": True}
            wandb = {"mode": "online", "base_url": f"http://127.0.0.1:{port}"}
            edit_json(lab.root / "vitlab.yaml", lambda old, new=notify: {**old, "notify": new})
            scene.look(lab)
            if heard:
                scene.found.append(f"{scheme}: looking calls an address: {heard[0][:60]!r}")
                break
            if scheme == "http":
                launched = scene.ask(lab, "run", "2.0", "--wait")
                if heard and "127.0.0.1" not in launched.text:
                    scene.found.append("a launch does not name the host that hears of its end")
                heard.clear()
            edit_json(lab.root / "vitlab.yaml", lambda old, new=wandb: {**old, "wandb": new})
            (lab.root / "wandb").mkdir()
            own = f"[default]\nbase_url = http://127.0.0.1:{port}\n"
            (lab.root / "wandb" / "settings").write_text(own)
            scene.look(lab)
            if heard:
                scene.found.append(f"{scheme}: looking calls W&B: {heard[0][:60]!r}")


ODD: dict[str, list[Any]] = {
    "profile": ["none", 3, None, [], {}, "\x1b[2J"],
    "cpu_slots": [-1, 0, 1e400, 10**30, "two", None, [], True, 1.5],
    "cpu_threads": [-1, 10**30, "x", None, {}],
    "grace": [-1, float("nan"), float("inf"), 10**30, "x", None],
    "write_status": [1, "never", None, []],
    "write_results": [1, "never", None, []],
    "seed_scatter": [1, {"a": 1}, {"a": {"b": float("nan")}}, {"a": {"test/r2/log_g": "x"}}],
    "gate_stars": [-1, 1e400, "x", None, 10**30],
    "keys": [1, ["a"], {"quit": 1}, {"nothing": "q"}, {"\x1b[2J": "x"}],
    "notify": [1, {"bell": "x"}, {"webhook": 1}, {"webhook": "ftp://x"}, {"webhook": "https://"}],
    "theme": ["x", 1, None],
    "wandb": [1, {"mode": 1}, {"mode": "x"}, {"entity": ["a"]}],
    "documents": ["../*.md", ["/etc/*"], 1, ["**/**/**/**/*"], ["[" * 50], [None]],
    "tables": [1, {"a": 1}, {"id": ["x"]}, []],
    "headers": [1, {"status": 1}, {"x": "y"}, {"status": "\x1b[2J"}],
    "statuses": [1, {"running": 1}, {"x": "y"}, {"done": ["\x07"]}],
    "\x1b]0;x\x07": [1],
    "x" * 5000: [1],
}


@case("experiment files")
def odd_settings(scene: Scene) -> None:
    lab = scene.lab()
    path = lab.root / "vitlab.yaml"
    pairs = [(key, value) for key, values in ODD.items() for value in values]
    for key, value in pairs if scene.thorough else scene.draw.sample(pairs, 6):
        new = {**json.loads('{"profile": "full", "grace": 2}'), key: value}
        path.write_text(json.dumps(new).replace("NaN", ".nan").replace("Infinity", ".inf"))
        for argv in (("jobs",), ("status", "--json"), ("run", "2.0", "--profile", "nothing")):
            scene.ask(lab, *argv)


def bombs() -> dict[str, str]:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    deep = "[" * 3000 + "]" * 3000
    head = "mvp: '2.0'\nroadmap: roadmaps/survey_roadmap.md\nrecipe: command\n"
    axes = ", ".join(f"k{n}: [1, 2, 3, 4, 5, 6, 7, 8, 9]" for n in range(12))
    return {
        "aliases of aliases": "\n".join(lines) + "\n" + head + "config: {argv: [*a11]}\n",
        "aliases in env": "\n".join(lines) + "\n" + head + "config: {argv: [x], env: {a: *a11}}\n",
        "an alias of itself": head + "config: &c {argv: *c}\n",
        "a list in itself": head + "config: {argv: &c [*c]}\n",
        "the whole in itself": "&c\n" + head + "config: *c\n",
        "deep lists": head + f"config: {{argv: {deep}}}\n",
        "deep keys": head + "config: " + "{a: " * 3000 + "1" + "}" * 3000 + "\n",
        "a long number": head + f"config: {{argv: [{'9' * 50_000}]}}\n",
        "a number of base 60": head + f"config: {{argv: [x], seed: 1{':59' * 20000}}}\n",
        "a key twice": head + "config: {argv: [echo]}\nconfig: {argv: [true]}\n",
        "a great matrix": head + f"config: {{argv: [echo]}}\nmatrix: {{{axes}}}\n",
        "many repeats": head + "config: {argv: [echo]}\nrepeats: 1000000000\n",
        "merges": head + "x: &x {a: 1}\nconfig: {<<: [*x, *x], argv: [echo]}\n",
        "an object": head + "config: !!python/object/apply:os.system ['true']\n",
        "a set": head + "config: {argv: !!set {a, b}}\n",
        "binary": head + "config: {argv: [!!binary AAAA]}\n",
        "two documents": head + "---\n" + head,
        "a control character": head + 'config: {argv: ["\\e[2J"], "\\e]0;x\\a": 1}\n',
        "a surrogate": head + 'config: {argv: ["\\uDC80"]}\n',
        "a slow pattern": head + "config: {argv: [echo]}\nmetrics: {pattern: '((a*)*)*$(?P<x>'}\n",
        "a date": head + "config: {argv: [2026-11-28]}\nheadline: 2026-13-45\n",
    }


@case("experiment files")
def yaml_that_explodes(scene: Scene) -> None:
    texts = [*bombs().items()]
    for name, text in texts if scene.thorough else scene.draw.sample(texts, 4):
        for target in ("experiments/mvp_2.0.yaml", "vitlab.yaml"):
            lab = scene.lab(f"{name}-{target[:3]}".replace(" ", "-"))
            (lab.root / target).write_text(text)
            with scene.untouched(name):
                for argv in (("jobs",), ("status", "--json")):
                    scene.ask(lab, *argv)
                answer = scene.ask(
                    lab, "run", "2.0", "--dry-run" if target[0] == "v" else "--force"
                )
            if name == "a key twice" and answer.status == 0:
                scene.found.append(f"a key twice in {target} is silent")
            for pid in processes(str(lab.root)):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def template(run: Commands, folder: Path) -> Lab:
    """A lab with an ended job, its results written, from which each stranger's lab is copied."""
    lab = make_lab(run, folder / "template")
    lab.ok("run", "1.0", "--wait")
    lab.ok("sync", "--yes")
    return lab


def strangers(
    run: Commands, folder: Path, seed: str, thorough: bool, only: str = "all"
) -> Iterator[tuple[str, str, int, list[str]]]:
    """Do the cases (all, or the one named); name, area, commands run, what was found."""
    import campaign_strangers_files  # noqa: F401  more cases

    source = template(run, folder)
    for number, (name, (area, cheap, function)) in enumerate(CASES.items()):
        if only not in ("all", name) or not (cheap or thorough):
            continue
        scene = Scene(source, folder / f"case-{number}", f"{seed}/strangers/{name}", thorough)
        try:
            function(scene)
        except AssertionError as error:
            scene.found.append(f"a command failed that has to succeed: {str(error)[:300]}")
        yield name, area, scene.tried, scene.found
        for pid in processes(str(scene.folder)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(scene.folder, ignore_errors=True)
