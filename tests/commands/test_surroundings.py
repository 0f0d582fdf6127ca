"""Every command in odd surroundings: no rights, no home, a full disk, another locale."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import ended, nothing_runs
from vitlab.cli import COMMANDS
from vitlab.contract.job import Spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.queue.scheduler import advance
from vitlab.jobs.store import submit
from vitlab.lab.conclusions.decisions import based
from vitlab.lab.lab import open_lab
from vitlab.lab.tray.proposals import Proposal, Tray

NOBODY = "54321"
"""The number of no user."""
ROADMAP = """\
# 计划 ✅

> **ID:** `TST-20261128-own`

| MVP | Name | Gate | Status | exp_id | Report |
|---|---|---|---|---|---|
| MVP-1.0 | 自己的 script | - | ⏳ | - | - |
| MVP-2.0 | two | - | ⏳ | - | - |
| MVP-3.0 | three | - | ⏳ | - | - |
"""
FILE = "roadmaps/计划_roadmap.md"
EXPERIMENT = f"""\
mvp: "1.0"
roadmap: {FILE}
recipe: command
config: {{argv: [{sys.executable}, "跑.py"], cwd: 工作}}
headline: val/r2/log_g
"""
SCRIPT = "from vitlab.events import log\nlog({'val/r2/log_g': 0.5}, 1, of=1)\nprint('done')\n"
Words = tuple[tuple[str, ...], ...]
ACCEPT = ("tray", "accept", "1", "--yes")
SET = ("set", FILE, "--mvp", "2.0", "--status", "running")
NEWER: Words = (
    ("init", "--agents"), ("paper", "--out", "paper", "--draft"),
    ("auto", "--budget", "1h", "--profile", "full", "--detach"),
)  # fmt: skip
READING: Words = (
    ("status",), ("status", "--json"), ("jobs",), ("jobs", "--json"), ("gates",), ("lint",),
    ("compare",), ("plot",), ("logs", "TST"), ("debug",), ("completion", "zsh"),
    ("hub", "roadmaps/hub.md"), ("adopt",),
    ("sync", "--dry-run"), (*SET, "--dry-run"), ("ceiling", "--mag", "22", "--stars", "4"),
    ("--version",), ("--help",), ("compare", "--sql", "select 1"),
)  # fmt: skip
"""Work where one may only read."""
WRITING: Words = (
    SET, ("run", "1.0", "--profile", "full"), ("resume", "TST"), ("init", "sub"), ("undo",),
    ("redo",),
    ("data", "make", "--n", "3", "--out", "x.h5"), ("compare", "--out", "x.csv"), ("sync", "--yes"),
    *NEWER,
    ("compare", "--out", "x.parquet"), ("new", "2.0", "--template", "ridge"),
)  # fmt: skip
OTHERS: Words = (
    ("stop", "TST"), ("hold", "TST"), ("release", "TST"), ("move", "TST", "--first"),
    ("figure", "parity"), ("spectrum",), ("scaling", "1.0"), ("evaluate", "TST"),
    ("predict", "TST", "star.fits"),
    ("adopt", "--pid", "1", "--mvp", "1.0"),
    ("serve", "--port", "99999"), ("demo", "--mvp", "9.9"), ("why", "0.5"), ("auto", "--end"),
    ("auto", "--budget", "1h", "--dry-run"), ("paper", "check", "roadmaps/hub.md"), ("tray",),
    ACCEPT, ("tray", "dismiss", "2"),
    ("wait", "none"), ("mcp", "--role", "none"),
)  # fmt: skip
SLOW = ("ceiling", "data")
DRIVER = """
import contextlib, io, json, sys, traceback
from vitlab.cli import main
ends = []
for words in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as e:
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        except BaseException:
            status = traceback.format_exc()
    ends.append([status, e.getvalue()])
print(json.dumps(ends))
"""
"""Runs every command of its input in one process: what loads slowly is loaded once."""
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to take rights away"
)
Ends = dict[tuple[str, ...], tuple[Any, str]]


@pytest.fixture(scope="module")
def plain_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab with a job that has ended."""
    root = tmp_path_factory.mktemp("surroundings") / "lab"
    lab = LabPaths(root)
    for folder in ("roadmaps", "experiments", "工作"):
        (root / folder).mkdir(parents=True)
    (root / FILE).write_text(ROADMAP, encoding="utf-8")
    (root / "roadmaps/hub.md").write_text("# Hub ✅\n", encoding="utf-8")
    (root / "工作/跑.py").write_text(SCRIPT, encoding="utf-8")
    lab.settings.write_text('wandb: {mode: "off"}\n', encoding="utf-8")
    (lab.experiments / "m1.yaml").write_text(EXPERIMENT, encoding="utf-8")
    another = EXPERIMENT.replace('"1.0"', '"3.0"').replace('跑.py"', '跑.py", "3"')
    (lab.experiments / "m3.yaml").write_text(another, encoding="utf-8")
    config = {"argv": [sys.executable, "跑.py"], "cwd": "工作"}
    spec = Spec("1.0", "main", "full", "command", config, "TST-20261128-own-01", FILE, device="cpu",
                headline="val/r2/log_g")  # fmt: skip
    job = submit(lab, spec)
    advance(lab)
    assert ended(job).outcome == "ok"
    nothing_runs(root)
    yield root
    nothing_runs(root)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def lab(plain_lab: Path, open_folder: Path) -> Path:
    """A copy of it, in which an assistant proposes two edits."""
    root = shutil.copytree(plain_lab, open_folder / "lab", symlinks=True)
    found = open_lab(root)
    for word in ("ready", "paused"):
        Tray(found).add(based(found, Proposal("status", FILE, "2.0", "it is next", word)))
    return root


def run_all(
    commands: Sequence[tuple[str, ...]],
    folder: Path,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Ends:
    """Each command's status and standard error."""
    ran = subprocess.run(
        [*before, sys.executable, "-X", "utf8", "-c", DRIVER],
        input=json.dumps(commands), cwd=folder, capture_output=True, text=True, check=True,
        env=environment, encoding="utf-8",
    )  # fmt: skip
    ends = json.loads(ran.stdout)
    return {words: (*end,) for words, end in zip(commands, ends, strict=True)}


def nobody(*more: str) -> list[str]:
    return ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", *more]


def homeless(**variables: str) -> dict[str, str]:
    own = ("HOME", "USER", "LOGNAME", "XDG_STATE_HOME")
    left = {k: v for k, v in os.environ.items() if k not in own}
    return {**left, **variables}


def quick() -> list[tuple[str, ...]]:
    """Every command that loads no torch."""
    return [words for words in (*READING, *WRITING, *OTHERS) if words[0] not in SLOW]


def check(ends: Ends) -> None:
    """Each worked, or ended with one line."""
    for words, (status, error) in ends.items():
        assert status in (0, 1, 2), (words, status)
        assert "Traceback" not in error, (words, error)
        if status == 2:
            told = [one for one in error.splitlines() if one.startswith("vitlab")]
            lines = [one for one in told if not one.startswith("vitlab: note: ")]
            assert len(lines) == 1, (words, error)


def test_every_command_is_tried() -> None:
    tried = {words[0] for words in (*READING, *WRITING, *OTHERS)}
    assert set(COMMANDS) <= tried


def take_write_rights(lab: Path) -> None:
    subprocess.run(["chmod", "-R", "a+rX,go-w", lab], check=True)


@as_root
@pytest.mark.parametrize("private", [True, False])
def test_a_lab_that_one_may_only_read(lab: Path, private: bool) -> None:
    if not private:
        shutil.rmtree(lab / ".vitlab")
    take_write_rights(lab)
    before = sorted(map(str, lab.rglob("*")))
    commands = [*READING, *WRITING, *OTHERS] if private else quick()
    ends = run_all(commands, lab, nobody(), homeless(HOME="/nonexistent"))
    check(ends)
    for words in set(READING) & set(commands):
        assert ends[words][0] == 0, (words, ends[words])
    writing = set(WRITING) & set(commands)
    for words in writing:
        assert ends[words][0] == 2, (words, ends[words])
    written = {words: ends[words][1] for words in writing if words[0] not in ("run", "redo")}
    for words, error in written.items():
        why = "not submitted here" if words[0] == "resume" else "ermission denied"
        assert why in error, (words, error)
    assert sorted(map(str, lab.rglob("*"))) == before


@as_root
def test_files_of_a_colleague_that_are_closed_to_others(lab: Path) -> None:
    """Looking works, and names what it could not read."""
    subprocess.run(["chmod", "-R", "a+rwX", lab], check=True)
    [job] = (lab / "experiments").glob("*/*/")
    names = ("exit", "spec", "lock", "health", "began", "folder", "waits")
    copies = {name: job.with_name(name) for name in names}
    for number, copy in enumerate(copies.values()):
        shutil.copytree(job, copy)
        spec = json.loads((copy / "spec.json").read_bytes())  # a job of its own, and no copy
        (copy / "spec.json").write_text(json.dumps({**spec, "submitted": 1.0 + number}))
        events = (copy / "events.jsonl").read_text()
        (copy / "events.jsonl").write_text(events.replace('"job": "submitted', '"was": "submitted'))
        for file in ("exit.json", "result.json"):
            record = json.loads((copy / file).read_bytes()) | {"job": ""}
            (copy / file).write_text(json.dumps(record))
    files = ("exit.json", "spec.json", "lock", "health.jsonl")
    for name, file in zip(names, files, strict=False):
        (copies[name] / file).chmod(0o600)
    (copies["began"] / "exit.json").unlink()
    (copies["began"] / "lock").chmod(0o600)
    copies["folder"].chmod(0o700)
    for file in ("exit.json", "started.json", "lock", "events.jsonl", "result.json"):
        (copies["waits"] / file).unlink()
    records = [lab / ".vitlab" / name for name in ("written.json", "told.json")]
    for path, text in zip(records, ("[]", '{"ends": {}, "epochs": {}}'), strict=True):
        path.write_text(text)
    for path in (lab / ".vitlab").iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    looking = [("status",), ("jobs",), ("gates",), ("compare",), ("debug",), ("sync", "--dry-run")]
    command = [sys.executable, "-m", "vitlab", "jobs", "--json"]
    environment = homeless(HOME="/nonexistent")
    ran = subprocess.run(nobody(*command), cwd=lab, env=environment,
                         capture_output=True, text=True, check=True)  # fmt: skip
    changing: Words = (
        SET,
        ("undo",),
        ("sync", "--yes"),
        *(("resume", f"TST-20261128-own-01/{n}") for n in names),
    )
    ends = run_all([*looking, *changing], lab, nobody(), environment)
    check(ends)
    for words in looking:
        assert ends[words][0] == 0, (words, ends[words])
    rows = {row["job"].partition("/")[2]: row for row in json.loads(ran.stdout)}
    assert [rows[name]["state"] for name in names] == [
        "unreadable", "unreadable", "done", "done", "unreadable", "unreadable", "foreign",
    ]  # fmt: skip
    assert [path.read_text() for path in records] == ["[]", '{"ends": {}, "epochs": {}}']
    assert rows["exit"]["problem"] == "exit.json cannot be read: Permission denied"
    assert rows["health"]["problem"] == "health.jsonl cannot be read: Permission denied"
    assert rows["folder"]["problem"] == "spec.json: folder cannot be read: Permission denied"


@as_root
def test_a_lab_on_a_disk_mounted_to_be_read(lab: Path) -> None:
    (lab / ".vitlab" / "journal").mkdir(parents=True, exist_ok=True)
    options = "bind", "remount,ro,bind"
    if any(subprocess.run(["mount", "-o", one, lab, lab], check=False).returncode
           for one in options):  # fmt: skip
        pytest.skip("nothing can be mounted here")
    try:
        ends = run_all([("status",), ("jobs",), ("gates",), SET, ("undo",)], lab)
    finally:
        subprocess.run(["umount", "-l", lab], check=True)
    check(ends)
    assert [status for status, *_ in ends.values()] == [0, 0, 0, 2, 2]
    assert "Read-only file system" in ends[SET][1]


def test_an_output_that_is_closed_is_no_error(lab: Path) -> None:
    shell = (
        f"{sys.executable} -m vitlab jobs --json >&-; echo $?; {sys.executable} -m vitlab x 2>&-"
    )
    done = subprocess.run(["sh", "-c", shell], cwd=lab, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 2)
    shell = f"{sys.executable} -m vitlab <&-"
    done = subprocess.run(["sh", "-c", shell], cwd=lab, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("vitlab: the screen needs a terminal")


ASKED = "os.kill(os.getpid(), signal.SIGINT)"
LOADING = """
class Asked:
    def find_spec(self, name, *_):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Asked())
"""


@pytest.mark.parametrize(
    "when",
    [
        LOADING.format(name="vitlab.cli"),
        LOADING.format(name="argparse"),
        LOADING.format(name="vitlab.commands.plan"),
        LOADING.format(name="wcwidth"),
        f"import atexit; atexit.register(lambda: {ASKED})",
    ],
    ids=["first", "library", "command", "later", "last"],
)
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_is_quiet_whatever_is_being_loaded(lab: Path, when: str, ignored: bool) -> None:
    code = f"import os, signal, sys\n{when}\nsys.argv[1:] = ['status']\n"
    code += "from vitlab.__main__ import main\nsys.exit(main())"
    shell = "trap '' INT; exec \"$@\"" if ignored else 'exec "$@"'
    argv = ["sh", "-c", shell, "sh", sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=lab, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in ((0,) if ignored else (130, -signal.SIGINT))


def test_a_folder_that_was_deleted_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f"rmdir {gone}; {sys.executable} -m vitlab status"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=gone, capture_output=True, text=True, check=False
    )
    told = "vitlab: the current folder: No such file or directory\n"
    assert (done.stderr, done.returncode) == (told, 2)


def test_arithmetic_of_absurd_numbers_prints_nothing_of_its_own(lab: Path) -> None:
    code = "import sys, warnings; from vitlab.cli import main; sys.argv[1:] = ['jobs', '--json']; "
    code += "main(); warnings.warn('overflow encountered in square', RuntimeWarning)"
    done = subprocess.run([sys.executable, "-c", code], cwd=lab, capture_output=True, check=True)
    assert done.stderr == b""


@as_root
def test_no_home_and_no_such_user(plain_lab: Path, lab: Path, open_folder: Path) -> None:
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", lab], check=True)
    check(run_all(quick(), lab, nobody(), homeless()))
    alone = open_folder / "alone"
    alone.mkdir(mode=0o777)
    alone.chmod(0o777)
    shutil.copy(plain_lab / FILE, alone / "x_roadmap.md")
    (alone / "x_roadmap.md").chmod(0o666)
    change = ("set", "x_roadmap.md", "--mvp", "2.0", "--status", "running")
    for home, why in ((homeless(), "set HOME or"), (homeless(HOME="/nonexistent"), "/nonexistent")):
        ends = run_all([change, ("undo",), ("redo",), ("debug",), ("lint",)], alone, nobody(), home)
        check(ends)
        assert why in ends[change][1]
    assert "🚀" not in (alone / "x_roadmap.md").read_text(encoding="utf-8")
    assert [path.name for path in alone.iterdir()] == ["x_roadmap.md"]


def test_a_full_disk_leaves_nothing_half_written(lab: Path) -> None:
    before = {p: p.read_bytes() for p in lab.rglob("*") if p.is_file()}
    ends = run_all(quick(), lab, ["prlimit", "--fsize=0"])
    check(ends)
    for words in set(READING) & set(quick()):
        assert ends[words][0] == 0, (words, ends[words])
    assert ends[WRITING[-1]][0] == 2  # it lacks a temporary folder
    for words in (SET, ("compare", "--out", "x.csv"), ACCEPT, WRITING[3], *NEWER):
        assert ends[words][0] == 2, words
        assert "File too large" in ends[words][1], (words, ends[words])
    after = {p: p.read_bytes() for p in lab.rglob("*") if p.is_file()}
    own = {p for p in after if ".vitlab" in p.parts}
    changed = {p for p in after if before.get(p) != after[p]} - own
    assert not [p for p in changed if p.suffix in (".md", ".yaml", ".csv", ".parquet", ".h5")]
    assert not [p for p in after if ".tmp" in p.name]


@pytest.mark.parametrize("words", [("status",), ("new", "mvp", "--name", "Fourth")])
def test_an_output_that_cannot_be_written_denies_nothing(words: tuple[str, ...], lab: Path) -> None:
    """Exit status 2 would say that nothing was done, and whoever believes it does it twice."""
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "vitlab", *words], cwd=lab, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    told = "vitlab: done, but standard output cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (74, told)
    assert ("Fourth" in (lab / FILE).read_text()) == (words[0] == "new")


def test_a_umask_that_takes_the_user_s_own_rights_closes_no_lab(lab: Path) -> None:
    """The journal's lock had no rights at all, and no later write could open it."""
    ran = subprocess.run(
        [sys.executable, "-m", "vitlab", *SET], cwd=lab, umask=0o777, check=False,
    )  # fmt: skip
    assert ran.returncode == 0
    made = [p for p in (lab / ".vitlab").rglob("*") if not p.is_symlink()]
    assert lab / ".vitlab/journal/lock" in made
    assert not [p for p in made if p.stat().st_mode & 0o600 != 0o600]


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("needs localedef")
    for source, encoding in (("zh_CN", "GBK"), ("en_US", "ISO-8859-1")):
        made = subprocess.run(
            ["localedef", "-i", source, "-f", encoding, folder / f"{source}.{encoding}"],
            capture_output=True, check=False,
        )  # fmt: skip
        if made.returncode > 1:
            pytest.skip(f"localedef cannot make {source}.{encoding}")
    return folder


@pytest.mark.parametrize("name", ["zh_CN.GBK", "en_US.ISO-8859-1"])
def test_another_encoding(lab: Path, locales: Path, name: str) -> None:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))
    }
    environment |= {"LOCPATH": str(locales), "LC_ALL": name}
    encoding = name.partition(".")[2]

    def run(*words: str) -> str:
        argv = [sys.executable, "-m", "vitlab", *words]
        ran = subprocess.run(argv, cwd=lab, env=environment, capture_output=True, check=False)
        assert ran.returncode == 0, (words, ran)
        assert b"Traceback" not in ran.stderr
        return ran.stdout.decode(encoding)

    for words in READING:
        if words[0] not in SLOW:
            run(*words)
    assert ("自己的" if encoding == "GBK" else "??? script") in run("status")
    assert "✅" not in run("hub", "roadmaps/hub.md")  # neither has it
    assert json.loads(run("status", "--json"))["roadmaps"][0]["mvps"][0]["name"] == "自己的 script"
    assert "🚀" not in (lab / FILE).read_text(encoding="utf-8")
    run(*SET)
    assert "| 🚀 |" in (lab / FILE).read_text(encoding="utf-8")
    assert "0.500" in run(
        "run", "1.0", "--profile", "full", "--wait"
    )  # in a folder named in Chinese
    nothing_runs(lab)
