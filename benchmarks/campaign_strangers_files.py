"""Further strangers' labs: links, names, data files, secrets, modules and models."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys

from campaign_lab import Lab, changed, faults, rows_of, snapshot, wait_for
from campaign_strangers import CONSOLE, SECRET, Scene, case, edit_json

WRITES: list[tuple[str, ...]] = [
    ("set", "roadmaps/survey_roadmap.md", "--mvp", "4.0", "--status", "ready"),
    (
        "set",
        "roadmaps/survey_roadmap.md",
        "--gate",
        "Gate-1",
        "--status",
        "passed",
        "--because",
        "seen",
    ),
    ("hub", "add", "K", "Ridge is enough"),
    ("hub", "set", "H1", "--status", "confirmed"),
    ("lint", "--fix"),
    ("sync", "1.0", "--yes"),
    ("new", "mvp", "--name", "further"),
    ("status", "--as", "Milestone=id"),
    ("undo",),
    ("undo",),
    ("redo",),
]
"""Commands that write documents."""
EVIL = ["\x1b[2Jx", "\x1b]0;owned\x07x", "\x9b31mx", "a\x08\x7f"]


@case("documents")
def links_out_of_the_lab(scene: Scene) -> None:
    names = ["roadmaps/survey_roadmap.md", "roadmaps/survey_hub.md", "roadmaps", "vitlab.yaml"]
    report = next(scene.template.root.glob("roadmaps/exp_*1_*.md"), None)
    names += [".vitlab", ".vitlab/journal", "experiments", "experiments/mvp_1.0.yaml"]
    names += [f"roadmaps/{report.name}"] if report else []
    names += ["experiments/JOB", "experiments/EXP"]
    names = scene.draw.sample(names, len(names) if scene.thorough else 4)
    for number, name in enumerate(names):
        lab = scene.lab(f"linked-{number}")
        job = scene.job(lab)
        path = lab.root / name
        if name.startswith("experiments/") and path.suffix != ".yaml":
            path = job if name.endswith("JOB") else job.parent
        target = scene.outside / f"linked-{number}"
        path.rename(target)
        path.symlink_to(target)
        with scene.untouched(f"{name} as a link"):
            scene.look(lab, ("stop", str(job)), ("resume", str(job)))
            writes = WRITES if scene.thorough else [*scene.draw.sample(WRITES, 2), ("undo",)]
            for argv in writes if name != "experiments" else []:
                scene.ask(lab, *argv)


@case("job folders")
def control_sequences_in_names(scene: Scene) -> None:
    evil = scene.draw.choice(EVIL)
    lab = scene.lab()
    job, root = scene.job(lab), lab.root

    def deeper(value: object, where: str = "") -> object:
        if isinstance(value, dict):
            return {key: deeper(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [deeper(one, where) for one in value]
        return value + evil if isinstance(value, str) and where != "recipe" else value

    for number, name in enumerate(["spec", "exit", "result", "queue", "started", "metrics"]):
        one = job.with_name(f"{job.name}-{number}{evil}")
        shutil.copytree(job, one)
        if (one / f"{name}.json").exists():
            edit_json(one / f"{name}.json", deeper)
    edit_json(
        job / "result.json",
        lambda old: {**old, "values": {**old["values"], f"test/r2/{evil}": 0.5}},
    )
    with (job / "events.jsonl").open("a") as file:
        for event in (
            {"kind": "note", "text": evil},
            {"kind": "step", "step": 9, "of": 9, "epoch": 9, "values": {f"val/r2/{evil}": 1}},
            {"kind": "end", "ok": False, "error": evil},
        ):
            file.write(json.dumps({"v": 1, "t": 1e9, **event}) + "\n")
    with (job / "health.jsonl").open("a") as file:
        told = {"v": 1, "t": 1e9, "status": "bad", "what": evil, "evidence": evil}
        file.write(json.dumps(told) + "\n")
    with (job / "out.log").open("a") as file:
        file.write(f"{evil}\n")
    roadmap = root / lab.roadmap
    roadmap.write_text(roadmap.read_text().replace("number 3", f"number {evil}3"))
    shutil.copy(roadmap, roadmap.with_name(f"o{evil}_roadmap.md"))
    hub = root / "roadmaps" / "survey_hub.md"
    hub.write_text(hub.read_text().replace("Trees are enough", f"Trees {evil} are enough"))
    lab.training("3.0", runs=[{"name": evil}], **{f"odd{evil}": 1})
    shutil.copytree(job.parent, job.parent.with_name(f"EXP{evil}"))
    further = [*WRITES[:4], ("logs", str(job)), ("compare",), ("compare", "--csv"), ("plot",)]
    further += [("run", "3.0"), ("sync", "--yes"), ("undo",), ("new", "3.0", "--dry-run")]
    scene.look(lab, *further)
    settings = root / "vitlab.yaml"
    for text in ({f"odd{evil}": 1}, {"theme": evil}, {"headers": {evil: "x"}}):
        settings.write_text(json.dumps(text))
        scene.ask(lab, "status")


@case("data and output")
def queries_that_read_files(scene: Scene) -> None:
    lab = scene.lab()
    secret = scene.outside / "secret.csv"
    shutil.copy(secret, scene.outside / "secret.json")
    queries = [
        f"select * from read_csv('{secret}')",
        f"select * from READ_CSV ( '{secret}' )",
        f"select * from read_ndjson('{secret}')",
        f"select * from read_json('{scene.outside}/secret.json')",
        f"select * from read_parquet('{secret}')",
        f"select * from read_ipc('{secret}')",
        f"select * from scan_csv('{secret}')",
        f"select * from '{secret}'",
        f'select * from "{secret}"',
        f"select r.* from results r join read_csv('{secret}') s on 1=1",
        f"with x as (select * from read_csv('{secret}')) select * from x",
        f"select (select a from read_csv('{secret}')) from results",
        f"select * from results union all select * from read_csv('{secret}')",
        f"select * from /**/read_csv/**/('{secret}')",
        f"create table x as select * from read_csv('{secret}')",
        "drop table results",
        "select * from read_csv('http://127.0.0.1:9/x')",
        "select * from nothing",
        "",
        "select '\x1b[2J' as \"\x1b[2J\"",
        "select" * 20_000,
        "select " + "(" * 3000 + "1" + ")" * 3000,
    ]
    for query in queries if scene.thorough else [queries[0], *scene.draw.sample(queries, 2)]:
        with scene.untouched("compare --sql"):
            answer = scene.ask(lab, "compare", "--sql", query)
        if SECRET in answer.text:
            scene.found.append(f"compare --sql shows a file's content: {query[:80]}")
    for out in (str(scene.outside / "out.csv"), "roadmaps/survey_roadmap.md", "vitlab.yaml"):
        before = snapshot(lab.root / "roadmaps")
        scene.ask(lab, "compare", "--out", out)
        if changed(before, snapshot(lab.root / "roadmaps")):
            scene.found.append("compare --out writes over a roadmap")


@case("launching")
def modules_in_the_lab(scene: Scene) -> None:
    if not CONSOLE.exists():
        return
    lab = scene.lab()
    names = "json yaml sitecustomize usercustomize numpy typing vitlab tomllib polars enum "
    for name in (
        names + "argparse signal torch wandb markdown_it fcntl_ conftest readline"
    ).split():
        (lab.root / f"{name}.py").write_text(f"open({str(scene.canary)!r}, 'w')\n")
    (lab.root / "matplotlibrc").write_text("backend: module://conftest\n")
    (lab.root / "pyvenv.cfg").write_text("home = .\n")
    with scene.untouched("modules in the lab's root", lab):
        looks = [("jobs",), ("status",), ("compare",), ("debug",)]
        for argv in looks if scene.thorough else scene.draw.sample(looks, 1):
            scene.ask(lab, *argv, program=(str(CONSOLE),))
        answer = scene.ask(lab, "run", "2.0", "--json", program=(str(CONSOLE),))
        wait_for(lambda: all(row["state"] == "done" for row in scene.rows(lab).values()), 15)
    for row in (answer.json() or {}).get("jobs", []):
        if rows_of(scene.ask(lab, "jobs", "--json"))[
            str((lab.root / row).relative_to(lab.root))
        ].get("outcome") not in ("ok", "done"):
            scene.found.append("a job beside modules of the lab does not end well")


@case("launching")
def a_python_in_the_lab(scene: Scene) -> None:
    lab = scene.lab()
    for place in (".venv/bin", "venv/bin", "work/.venv/bin", "env/bin"):
        folder = lab.root / place
        folder.mkdir(parents=True)
        for name in ("python", "python3", "conda", "git"):
            (folder / name).write_text(f"#!/bin/sh\ntouch {scene.canary}\nexit 1\n")
            (folder / name).chmod(0o755)
        (folder.parent / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
    (lab.root / "experiments" / "mvp_4.0.yaml").unlink()
    script = lab.root / "work" / "own.py"
    script.write_text(f"import numpy\nopen({str(scene.canary)!r}, 'w')\n")
    with scene.untouched("a Python in the lab"):
        scene.look(lab)
        scene.ask(lab, "new", "4.0", "--script", "work/own.py", "--dry-run")


@case("launching")
def paths_in_documents(scene: Scene) -> None:
    outer = [
        "../../outside/x",
        "/tmp/campaign-x",
        "..",
        ".",
        "a/../../..",
        "~/x",
        "\x00",
        "a" * 300,
    ]
    for number, path in enumerate(outer if scene.thorough else scene.draw.sample(outer, 2)):
        lab = scene.lab(f"paths-{number}")
        target = str(scene.outside / "x") if path.startswith("/tmp") else path
        roadmap = lab.root / lab.roadmap
        text = roadmap.read_text()
        lines = text.split("\n")
        for place, line in enumerate(lines):
            if line.startswith("| 2.0 | number 2"):
                cells = line.split("|")
                cells[6] = f" {target} "
                cells[7] = f" [report]({target}.md) "
                lines[place] = "|".join(cells)
        text = "\n".join(lines).replace("(./survey_hub.md)", f"({target})")
        roadmap.write_text(text)
        lab.training("3.0", roadmap=str(scene.outside / "notes.md"))
        lab.training("4.0", outputs=[f"{target}/*"], config={"outputs": [f"{target}/*"]})
        with scene.untouched(f"the path {path[:30]!r}", lab):
            for argv in (("run", "2.0", "--wait"), ("run", "3.0", "--wait"), ("run", "4.0")):
                scene.ask(lab, *argv)
            for argv in (("sync", "--yes"), ("lint", "--fix"), ("new", "mvp", "--name", "x")):
                scene.ask(lab, *argv)
        if (scene.folder / "x").exists():
            scene.found.append(f"{path}: a folder is made beside the lab")


@case("launching")
def secrets_of_a_repository(scene: Scene) -> None:
    lab = scene.lab()
    root = lab.root
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    secrets = [".env", "work/.env.local", "work/id_rsa", "work/key.pem", ".netrc", ".npmrc"]
    for name in secrets:
        (root / name).write_text("TOKEN=old\n")
    for words in (["init", "-q"], ["add", "-f", "work", *secrets], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    for name in secrets:
        (root / name).write_text(f"TOKEN={SECRET}\n-----BEGIN PRIVATE KEY-----\n{SECRET}\n")
    webhook = {"webhook": f"https://hooks.example.org/{SECRET}"}
    edit_json(root / "vitlab.yaml", lambda old: {**old, "notify": webhook})
    env = {"MY_API_TOKEN": SECRET, "DATABASE_URL": f"postgres://me:{SECRET}@host/x"}
    answer = scene.ask(lab, "run", "2.0", "--json", env=env)
    jobs = [root / one for one in (answer.json() or {"jobs": []})["jobs"]]
    wait_for(lambda: all((job / "exit.json").exists() for job in jobs), 15)
    for job in jobs:
        for name, (mode, content) in snapshot(job).items():
            if isinstance(content, bytes) and SECRET.encode() in content:
                scene.found.append(f"a secret of the repository or environment is in {name}")
            if name in ("environment.json", "code.diff") and mode & 0o077:
                scene.found.append(f"{name} has the mode {mode & 0o777:o}")
    for argv in (("debug",), ("debug", "--json"), ("status",), ("jobs",), ("jobs", "--json")):
        if SECRET in scene.ask(lab, *argv, env=env).text:
            scene.found.append(f"`vitlab {' '.join(argv)}` shows a secret")


@case("data and output", cheap=False)
def data_that_leads_elsewhere(scene: Scene) -> None:
    lab = scene.lab()
    scene.ask(lab, "data", "make", "--n", "20", "--out", "good.h5")
    (scene.outside / "raw.bin").write_bytes(SECRET.encode() * 100_000)
    shutil.copy(lab.root / "good.h5", scene.outside / "other.h5")
    code = f"""
import h5py, shutil
outside = {str(scene.outside)!r}
def sets(file):
    found = []
    file.visititems(lambda name, one: found.append(name) if isinstance(one, h5py.Dataset) else None)
    return found
for kind in ("external link", "raw", "virtual", "soft", "loop", "huge"):
    shutil.copy("good.h5", kind.replace(" ", "-") + ".h5")
    with h5py.File(kind.replace(" ", "-") + ".h5", "r+") as file:
        for name in sets(file):
            old = file[name]
            shape, kind_of, data = old.shape, old.dtype, old[()]
            if not shape or kind_of.kind not in "fiu":
                continue
            del file[name]
            if kind == "external link":
                file[name] = h5py.ExternalLink(outside + "/other.h5", name)
            elif kind == "raw":
                size = data.nbytes
                raw = [(outside + "/raw.bin", 0, size)]
                file.create_dataset(name, shape, kind_of, external=raw)
            elif kind == "virtual":
                layout = h5py.VirtualLayout(shape, kind_of)
                layout[...] = h5py.VirtualSource(outside + "/other.h5", name, shape)
                file.create_virtual_dataset(name, layout)
            elif kind == "soft":
                file[name] = h5py.SoftLink("/nowhere")
            elif kind == "loop":
                file[name] = h5py.SoftLink("/" + name)
            else:
                file.create_dataset(name, (2**40, *shape[1:]), kind_of, chunks=True)
"""
    subprocess.run([sys.executable, "-c", code], cwd=lab.root, check=True)
    for kind in ("external-link", "raw", "virtual", "soft", "loop", "huge"):
        with scene.untouched(f"data file: {kind}"):
            answer = scene.ask(lab, "data", "inspect", f"{kind}.h5")
        if answer.status == 0:
            scene.found.append(f"data inspect takes a file whose data are elsewhere: {kind}")
    data = (lab.root / "good.h5").read_bytes()
    for number in range(15):
        new = bytearray(data)
        for _ in range(scene.draw.choice([1, 20, 500])):
            new[scene.draw.randrange(min(len(new), 4096))] = scene.draw.randrange(256)
        (lab.root / "flipped.h5").write_bytes(new)
        answer = scene.run(lab.root, "data", "inspect", "flipped.h5")
        scene.tried += 1
        scene.found += [
            f"{one} (bytes of an HDF5 file drawn anew, {number})" for one in faults(answer)
        ]


@case("data and output", cheap=False)
def a_result_that_names_places(scene: Scene) -> None:
    places = ["../../../outside/x", str(scene.outside / "x"), "~/x", "\x00", "x" * 300, "..", ""]
    for number, place in enumerate(places):
        lab = scene.lab(f"places-{number}")

        def change(value: object, place: str = place) -> object:
            if isinstance(value, dict):
                words = ("mvp", "run", "profile", "name", "url", "path")
                new = {key: change(one) for key, one in value.items()}
                new |= {key: place for key in value if key in words}
                return new | ({"figures": [place, f"{place}.png"]} if "values" in value else {})
            return value

        edit_json(scene.job(lab) / "result.json", change)
        with scene.untouched(f"a result that names {place[:30]!r}"):
            for name in ("training", "scaling", "parity"):
                scene.ask(lab, "figure", name, limit=60)
            scene.ask(lab, "sync", "--yes")
            scene.ask(lab, "compare")
        made = [one for one in lab.root.parent.iterdir() if one.name not in ("lab", "outside")]
        made = [one for one in made if not one.name.startswith("places-")]
        if made:
            scene.found.append(f"a result that names {place!r}: {made[0].name} is made")


EXPERIMENT = """
mvp: "2.0"
roadmap: roadmaps/survey_roadmap.md
recipe: {recipe}
config:
  labels: [log_g]
  data: {{source: grid, train_size: 300, val_size: 60, test_size: 60}}
{more}
profiles: {{smoke: {{}}, full: {{}}}}
"""
TREES = "  model: {bins: 31, feature_fraction: 0.1}\n  train: {rounds: 10, threads: 1}\n"


@case("data and output", cheap=False)
def models_that_were_changed(scene: Scene) -> None:
    lab = scene.lab()
    text = EXPERIMENT.format(recipe="lightgbm", more=TREES)
    (lab.root / "experiments" / "mvp_2.0.yaml").write_text(text)
    answer = scene.ask(lab, "run", "2.0", "--profile", "smoke", "--wait", "--json", limit=120)
    job = lab.root / ((answer.json() or {}).get("jobs") or ["nothing"])[0]
    models = [
        path for path in job.rglob("*") if path.is_file() and b"tree_sizes" in path.read_bytes()
    ]
    if not models:
        scene.found.append(f"no model of trees to change: {answer.short()}")
    for model in models[:1]:
        good = model.read_text()
        for number in range(25):
            model.write_text(_other_model(good, scene.draw))
            again = scene.run(lab.root, "evaluate", str(job), limit=60, fresh=True)
            scene.tried += 1
            scene.found += [f"{one} (a changed model, {number})" for one in faults(again)]
        model.write_text(good)
    pickled = (
        "import pickle, torch, sys\n"
        f"class Evil:\n    def __reduce__(self): return (open, ({str(scene.canary)!r}, 'w'))\n"
        "torch.save({'model': Evil()}, sys.argv[1]); pickle.dump(Evil(), open(sys.argv[2], 'wb'))\n"
    )
    folder = job / "checkpoints"
    folder.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", pickled, "a.pt", "a.pkl"], cwd=folder, check=True)
    edit_json(job / "spec.json", lambda spec: {**spec, "recipe": "vit"})
    for source in ("a.pt", "a.pkl"):
        for name in ("best.pt", "last.pt", "best", "last", "model.pt"):
            shutil.copy(folder / source, folder / name)
        with scene.untouched("a pickled program as a checkpoint", lab):
            for argv in (("evaluate", str(job)), ("spectrum", str(job)), ("resume", str(job))):
                scene.ask(lab, *argv, limit=60)


def _other_model(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(draw.choice([1, 1, 3])):
        place = draw.randrange(len(lines))
        key, equals, value = lines[place].partition("=")
        words = value.split(" ")
        words[draw.randrange(len(words))] = draw.choice(
            ["-1", "999999999", "nan", "", "1e400", "x"]
        )
        lines[place] = draw.choice(["", key + equals + " ".join(words), lines[place][:5]])
    return "\n".join(lines)


@case("launching", cheap=False)
def experiments_on_another_disk(scene: Scene) -> None:
    """Usual on clusters: the lab is where the link is, and the queue goes on by itself."""
    lab = scene.lab()
    scratch = scene.folder / "scratch" / "deep" / "experiments"
    scratch.parent.mkdir(parents=True)
    (lab.root / "experiments").rename(scratch)
    (lab.root / "experiments").symlink_to(scratch)
    for mvp in ("2.0", "3.0"):
        lab.training(mvp, epochs=2, seconds=0.3)
        scene.ask(lab, "run", mvp)
    ended = lambda: len([*scratch.glob("*/*/exit.json")]) == 3  # noqa: E731
    if not wait_for(ended, 25):
        scene.found.append("experiments as a link: the queue does not go on by itself")
    beside = [one.name for one in scratch.parent.iterdir() if one.name != "experiments"]
    if beside:
        scene.found.append(f"experiments as a link: {beside} appear beside its target")
    for job, row in scene.rows(Lab(lab.root, scene.run)).items():
        if row.get("outcome") != "ok":
            scene.found.append(f"experiments as a link: {job} is {row.get('outcome')}")
