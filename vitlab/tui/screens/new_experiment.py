"""An experiment file for an MVP that has none: what it is made from, how it reads, its writing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

from vitlab.docs.text.edit import unified
from vitlab.jobs.experiment.script_python import find_python
from vitlab.lab.adoption import Candidate, candidates
from vitlab.lab.new_experiment import (
    ABOUT,
    UNIT_ANSWERS,
    Choice,
    NewExperiment,
    check_new,
    plan_new,
    write_new,
)
from vitlab.tui.screens.dialogs import LineScreen, PickScreen, WriteScreen
from vitlab.tui.terminal.terminal_io import open_editor

if TYPE_CHECKING:
    from vitlab.tui.session import Session

SCRIPT = "my own script"


async def make_experiment(
    app: App[int], session: Session, mvp_id: str
) -> tuple[NewExperiment, Choice] | None:
    """Ask what the file is made from, show it, write it, open it in the editor; None if left.

    What cannot be done is told, and asked again with the answers so far.
    """
    choice = await _choose(app, session, mvp_id)
    while choice is not None:
        new = await _plan(session, mvp_id, choice)
        if new is not None:
            break
        choice = await _choose(app, session, mvp_id, choice)
    else:
        return None
    if new.open_units:
        units = await _units(app, new, choice.units)
        if units is None:
            return None
        choice = replace(choice, units=units)
        new = await _plan(session, mvp_id, choice)
    if new is None or not await _write(app, session, new):
        return None
    app.notify(f"written: {session.lab.paths.relative(new.path)}")
    if problem := open_editor(app, new.path, 1):
        app.notify(problem, severity="warning")
    session.watcher.refresh_now()
    written = new
    findings = await session.attempt(lambda: check_new(session.lab, written))
    if findings is None:
        return None
    for one in findings:
        if one.status != "note":
            app.notify(one.text, severity="warning")
    return new, choice


async def _choose(
    app: App[int], session: Session, mvp_id: str, before: Choice | None = None
) -> Choice | None:
    if before is not None and before.script is not None:
        return await _script(app, str(before.script))
    found = await session.attempt(lambda: candidates(session.lab))
    if found is None:
        return None
    running = {_line(one): one for one in found if not one.watched_by}
    templates = {f"{name}: {about}": name for name, about in ABOUT.items()}
    title = f"MVP {mvp_id} has no experiment file: make one from"
    names = [SCRIPT, *templates, *running]
    picked = await app.push_screen_wait(PickScreen(title, names, SCRIPT))
    if picked in templates:
        return Choice(template=templates[picked])
    if picked in running:
        return Choice(pid=running[picked].training.pid)
    return await _script(app) if picked == SCRIPT else None


def _line(one: Candidate) -> str:
    """Of a process: short enough for one line of a small screen."""
    program = " ".join(one.training.argv[1:])[:36]
    return f"running: {one.training.pid} {program} in {one.training.folder.name}"


async def _script(app: App[int], known: str = "") -> Choice | None:
    """Its path and its Python; asked again while there is no such file."""
    text: str | None = known
    title = "Your script"
    while True:
        text = await app.push_screen_wait(LineScreen(title, text or "", hint="/home/me/train.py"))
        if text is None or not text.strip():
            return None
        script = Path(text.strip()).expanduser()
        if await asyncio.to_thread(script.is_file):
            break
        title = "Your script: no such file"
    python = await asyncio.to_thread(find_python, script.absolute())
    chosen = await app.push_screen_wait(LineScreen("Its Python", python))
    if chosen is None:
        return None
    return Choice(script=script, python="" if chosen.strip() == python else chosen.strip())


async def _plan(session: Session, mvp_id: str, choice: Choice) -> NewExperiment | None:
    roadmap = session.roadmap
    return await session.attempt(lambda: plan_new(session.lab, roadmap, mvp_id, choice))


async def _units(
    app: App[int], new: NewExperiment, known: Mapping[str, str]
) -> dict[str, str] | None:
    """The unit of each error whose unit is not known; None when cancelled."""
    units, answers = dict(known), list(UNIT_ANSWERS)
    for theirs in new.open_units:
        title = f"Which unit does the script log {theirs} in?"
        answer = await app.push_screen_wait(PickScreen(title, answers))
        if answer is None:
            return None
        if unit := UNIT_ANSWERS[answer]:
            units[theirs] = unit
    return units


async def _write(app: App[int], session: Session, new: NewExperiment) -> bool:
    """Show it and write it; shown again while that fails. False when left."""
    while await app.push_screen_wait(_preview(session, new)):
        if await session.attempt(lambda: write_new(session.lab, new)) is not None:
            return True
    return False


def _preview(session: Session, new: NewExperiment) -> WriteScreen:
    open_units = [f"left out: {one}, unit unknown" for one in new.open_units]
    summary = [*new.notes, *open_units] or ["Your editor opens it next, then the launch dialog."]
    name = session.lab.paths.relative(new.path)
    return WriteScreen(summary, [unified("", new.text, name)], title="Write this experiment file")
