"""What git is asked of a launch: it runs nothing of the repository's, and keeps no secrets."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended, wait_for
from vitlab.jobs.experiment.placeholders import filled
from vitlab.jobs.git import (
    differ,
    in_repository,
    is_secret_file,
    is_tracked,
    leads_out,
    not_ignored,
    read_code,
)
from vitlab.jobs.queue.program import config_files
from vitlab.jobs.queue.scheduler import advance


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    (root / "src").mkdir(parents=True)
    (root / "src/train.py").write_text("print(1)\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


def test_nothing_a_repository_names_is_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "evil.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {ran}\ncat 2>/dev/null\n')
    program.chmod(0o755)
    evil = str(program)
    for key in (
        "core.fsmonitor", "core.pager", "diff.external", "core.sshCommand", "core.editor",
        "core.askPass", "pager.diff", "diff.evil.command", "diff.evil.textconv",
        "filter.evil.clean", "filter.evil.smudge", "filter.two.process", "filter.a.b.clean",
        "interactive.diffFilter", "gpg.program", "core.alternateRefsCommand",
    ):  # fmt: skip
        git(repository, "config", key, evil)
    for key in ("filter.evil.required", "filter.two.required"):
        git(repository, "config", key, "true")
    git(repository, "config", "color.ui", "always")
    git(repository, "config", "diff.relative", "true")
    git(repository, "config", "diff.submodule", "diff")
    hooks = repository / ".git/hooks"
    for name in ("post-index-change", "fsmonitor-watchman", "post-checkout", "pre-commit"):
        (hooks / name).write_text(program.read_text())
        (hooks / name).chmod(0o755)
    attributes = "*.py filter=evil diff=evil\n*.txt filter=two\n*.c filter=a.b\n"
    (repository / ".gitattributes").write_text(attributes)
    (repository / ".git/info/attributes").write_text(attributes)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_SSH_COMMAND", "GIT_PAGER", "PAGER", "GIT_ASKPASS"):
        monkeypatch.setenv(name, evil)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    (repository / "src/train.py").write_text("print(22)\n")
    code = read_code(repository / "src")
    assert b"\n-print(1)\n+print(22)\n" in code.diff
    assert b"\x1b" not in code.diff
    assert code.repository == str(repository)
    assert is_tracked(repository / "src/train.py")
    (repository / "src/train[.]py").write_text("")
    assert not is_tracked(repository / "src/train[.]py")
    assert in_repository(repository / "src")
    not_ignored(repository, (".vitlab/", "runs/"))
    assert not ran.exists(), ran.read_text()


def test_commits_that_change_documents_alone_are_of_one_code(repository: Path) -> None:
    def commit(name: str) -> str:
        (repository / name).write_text("changed\n")
        git(repository, "add", "-A")
        git(repository, "commit", "-qm", name)
        return git(repository, "rev-parse", "HEAD").strip()

    first, plan, code = commit("new.py"), commit("plan.md"), commit("other.py")
    assert not differ(str(repository), first)
    assert not differ(str(repository), first, plan)
    assert differ(str(repository), first, plan, code)
    assert differ(str(repository), first, "0" * 40)
    assert differ(str(repository.parent), first, plan)


def test_a_submodule_and_a_missing_object_run_nothing(repository: Path, tmp_path: Path) -> None:
    ran, inner = tmp_path / "ran", tmp_path / "inner"
    inner.mkdir()
    (inner / "a.py").write_text("1\n")
    git(inner, "init", "-q")
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "inner")
    git(repository, "submodule", "add", "-q", str(inner), "sub")
    git(repository, "commit", "-qm", "sub")
    sub = repository / "sub"
    git(sub, "config", "core.fsmonitor", f"touch {ran}; false")
    git(sub, "config", "filter.evil.clean", f"touch {ran}; cat")
    Path(git(sub, "rev-parse", "--absolute-git-dir"), "info/attributes").write_text("* filter=evil")
    (sub / "a.py").write_text("222\n")
    (repository / "src/train.py").write_text("print(22)\n")
    assert b"+print(22)" in read_code(repository).diff
    assert read_code(sub).commit == git(sub, "rev-parse", "HEAD")
    # A partial clone asks its remote for what it lacks, by whatever program that names.
    git(repository, "config", "extensions.partialClone", "origin")
    git(repository, "config", "remote.origin.url", f"ext::sh -c 'touch {ran}'")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "protocol.ext.allow", "always")
    blob = git(repository, "rev-parse", "HEAD:src/train.py")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    code = read_code(repository)
    assert code.diff == b"# what was changed since is not known: git ended with status 128\n"
    assert code.record["dirty"] is True  # changed or not: it must not pass for the commit
    assert not ran.exists()


def test_of_a_long_diff_no_more_is_read_than_is_kept(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.jobs.git.MAX_DIFF", 1 << 20)
    (repository / "src/train.py").write_text("print(2)\n" * 400_000)
    code = read_code(repository)
    assert code.diff.endswith(b"\n# cut here, after 1 MiB\n")
    assert code.diff.startswith(b"diff --git a/src/train.py")
    assert len(code.diff) < 1.001 * 2**20
    for number in range(5500):
        (repository / f"src/{number:0200}").touch()
    git(repository, "add", "-A")
    assert b"not known: the names of the changed files alone" in read_code(repository).diff
    monkeypatch.setattr("vitlab.jobs.git._SECONDS", 0.0)
    assert read_code(repository).commit == ""


def test_a_git_that_hangs_behind_a_script_is_left(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a site's wrapper of a program on a disk that is gone: it holds our pipe open."""
    shim, kept = tmp_path / "bin/git", tmp_path / "pid"
    shim.parent.mkdir()
    shim.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {kept}; wait\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=os.pathsep)
    monkeypatch.setattr("vitlab.jobs.git._SECONDS", 5.0)
    assert read_code(repository).commit == ""
    words = Path(f"/proc/{kept.read_text().strip()}/cmdline")
    wait_for(lambda: not words.exists() or not words.read_bytes())


def test_a_repository_cannot_name_another_folder_or_a_filter_that_stays_on(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "private.py").write_text("mine")
    git(repository, "config", "core.worktree", str(tmp_path))
    assert b"private" not in read_code(repository).diff
    (repository / "src/train.py").write_text("print(22)\n")
    assert b"+print(22)" in read_code(repository).diff
    config = repository / ".git/config"
    ran = tmp_path / "ran"
    config.write_text(config.read_text() + f'[filter "a=b"]\n\tclean = "touch {ran}; cat"\n')
    (repository / ".gitattributes").write_text("*.py filter=a=b\n")
    assert read_code(repository).commit == ""
    assert not ran.exists()
    bare = tmp_path / "bare"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    git(bare, "config", "core.fsmonitor", f"touch {ran}; false")
    assert not in_repository(bare)
    assert not ran.exists()


def test_secrets_are_left_out_of_the_diff(shop: Workshop) -> None:
    root = shop.lab.root
    secret = [
        ".env", ".env.local", "conf/prod.env", "server.pem", "id_rsa", ".netrc", "credentials",
        "aws/Credentials.json", "secrets.yaml", "token.txt", "vitlab.yaml", ".ssh/config",
        "API.KEY",
    ]  # fmt: skip
    plain = ["train.py", "environment.py", "keys.py", "monkey.txt", "model.yaml", "pem.py"]
    for name in (*secret, *plain):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("cpu_slots: 1\n" if name == "vitlab.yaml" else "a\n")
    git(root, "init", "-q")
    git(root, "add", "-f", *secret, *plain)
    git(root, "commit", "-qm", "first")
    for name in (*secret, *plain):
        with (root / name).open("a") as file:
            file.write(f"# hidden-{name}\n")
    job = shop.submit("")
    advance(shop.lab)
    ended(job)
    diff = job.code_diff.read_text()
    head, _, _ = diff.partition("\n")
    assert head == f"# changed, and left out as it may hold secrets: {', '.join(sorted(secret))}"
    for name in secret:
        assert is_secret_file(name)
        assert f"hidden-{name}" not in diff
    for name in plain:
        assert not is_secret_file(name)
        assert f"+# hidden-{name}\n" in diff
    assert stat.S_IMODE(job.code_diff.stat().st_mode) == 0o600


def linked(lab: Path, private: Path) -> None:
    (lab / ".git").symlink_to(private / ".git")


def named_by_a_file(lab: Path, private: Path) -> None:
    (lab / ".git").write_text(f"gitdir: {private}/.git\n")


def with_its_objects(lab: Path, private: Path) -> None:
    git(lab, "init", "-q", "-b", "main")
    (lab / ".git/objects/info").mkdir(exist_ok=True)
    (lab / ".git/objects/info/alternates").write_text(f"{private}/.git/objects\n")
    (lab / ".git/refs/heads/main").write_text(git(private, "rev-parse", "HEAD") + "\n")


def with_its_folder_of_objects(lab: Path, private: Path) -> None:
    with_its_objects(lab, private)
    shutil.rmtree(lab / ".git/objects")
    (lab / ".git/objects").symlink_to(private / ".git/objects")


def with_its_branch(lab: Path, private: Path) -> None:
    git(lab, "init", "-q", "-b", "main")
    (lab / ".git/refs/heads/main").symlink_to(private / ".git/refs/heads/main")


def as_its_work_tree(lab: Path, private: Path) -> None:
    own = lab / ".git"
    own.mkdir()
    shutil.copy(private / ".git/HEAD", own)
    (own / "commondir").write_text(f"{private}/.git\n")


def as_one_of_a_third(lab: Path, private: Path) -> None:
    own = lab.parent / "third/worktrees/x"
    own.mkdir(parents=True)
    shutil.copy(private / ".git/HEAD", own)
    (own / "commondir").write_text(f"{private}/.git\n")
    (own / "gitdir").write_text(f"{lab}/.git\n")
    (lab / ".git").write_text(f"gitdir: {own}\n")


def empty_below_it(lab: Path, private: Path) -> None:
    (lab / ".git").mkdir()
    shutil.move(private / ".git", lab.parent / ".git")


@pytest.mark.parametrize(
    "change",
    [linked, named_by_a_file, with_its_objects, with_its_folder_of_objects, with_its_branch,
     as_its_work_tree, as_one_of_a_third, empty_below_it],
)  # fmt: skip
def test_nothing_of_another_repository_is_shown(
    repository: Path, tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    lab = tmp_path / "strange/lab"
    (lab / "src").mkdir(parents=True)
    (lab / "src/train.py").touch()
    git(repository, "branch", "-M", "main")
    change(lab, repository)
    code = read_code(lab / "src")
    assert (code.commit, code.diff, code.repository) == ("", b"", "")
    assert not is_tracked(lab / "src/train.py")
    assert leads_out(lab) == (change is not empty_below_it)


def test_work_trees_and_submodules_are_read(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "other"))
    git(tmp_path, "clone", "-q", str(repository), "super")
    git(tmp_path / "super", "submodule", "add", "-q", str(repository), "sub")
    commit = git(repository, "rev-parse", "HEAD")
    (repository / ".git/hooks").rename(tmp_path / "hooks")
    (repository / ".git/hooks").symlink_to(tmp_path / "hooks")
    for root in (repository, tmp_path / "other", tmp_path / "super/sub"):
        (root / "src/train.py").write_text("print(2)\n")
        code = read_code(root / "src")
        assert (code.commit, code.repository) == (commit, str(root))
        assert b"+print(2)" in code.diff
        assert not leads_out(root)


def test_a_link_to_a_secret_is_not_kept(tmp_path: Path) -> None:
    for name in (".docker/config.json", ".config/hosts.yml", "id_rsa", "shared/a.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    (tmp_path / "conf.json").symlink_to(".docker/config.json")
    (tmp_path / "conf").symlink_to(".docker")
    (tmp_path / "run.yaml").symlink_to(".config/hosts.yml")
    (tmp_path / "key.yaml").symlink_to("id_rsa")
    (tmp_path / "a.json").symlink_to("shared/a.json")
    files = ["conf.json", "conf/config.json", "--c=.docker/config.json", "run.yaml", "a.json"]
    config = {"argv": ["true", "--key=key.yaml", *files]}
    command = filled({"config": config}, tmp_path, {"seed": "1"})
    assert list(config_files(command)) == [tmp_path / "a.json"]
