"""Scripts as people write them: what is seen in them, and which of their names are values."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.paths import UsageError
from vitlab.contract.tracking import FILES
from vitlab.contract.value import NAME
from vitlab.jobs.experiment.label_scale import Scale
from vitlab.jobs.experiment.printed import Slot, lines_of
from vitlab.jobs.experiment.script import Script, look_at
from vitlab.jobs.experiment.value_names import match_names, near_values

LIGHTNING = """
import argparse
import lightning as L
from lightning.pytorch.loggers import CSVLogger
from model import Net
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=1e-3)
p.add_argument("--ckpt_path", default=None)
p.add_argument("-f", "--fast", action="store_true")
p.add_argument("--data", default="stars.npz")
a = p.parse_args()
data = open(a.data)
print(f"label std: {data.label_std:.4f}")
trainer = L.Trainer(max_epochs=40, logger=CSVLogger("logs", name="vit"))
trainer.fit(Net(), ckpt_path=a.ckpt_path)
"""
MODEL = '''
class Net:
    def step(self, batch, stage, prog=False):
        y = (batch - self.label_mean) / self.label_std
        self.log(f"{stage}_r2", 1.0)
        self.log("both", 1.0, on_step=True, on_epoch=True)
        self.log_dict({f"{stage}_mae": 0.1, "fixed/loss": 2})
    def training_step(self, batch, i): return self.step(batch, "train")
    def validation_step(self, batch, i): return self.step(batch, stage="val")
'''  # fmt: skip
HUGGING_FACE = """
from transformers import HfArgumentParser, Trainer, TrainingArguments
parser = HfArgumentParser((Own, TrainingArguments))
def compute_metrics(p):
    return {"r2": 0.5, "mae": 0.1}
trainer = Trainer(args=parser.parse_args(), compute_metrics=compute_metrics)
"""
PLAIN = """
import wandb, click
@click.command()
@click.option("--epochs", "-e", default=12)
@click.option("--amp/--no-amp", is_flag=True)
def main(epochs, amp):
    out = open("history.jsonl", "w")
    for epoch in range(epochs):
        print(f"epoch {epoch} val_r2={r2:.4f}, val_mae: {mae}")
        logger.info("test r2 %.3f", r2)
        wandb.log({"val/r2": r2, "lr": lr})
    print("done: test_r2 = %.4f after %d s" % (r2, seconds))
    print("{} of {}".format(1, 2))
"""


def seen(tmp_path: Path, text: str, **others: str) -> Script:
    path = tmp_path / "train.py"
    path.write_text(text)
    for name, content in others.items():
        (tmp_path / f"{name}.py").write_text(content)
    return look_at(path)


def test_a_lightning_script_with_its_model_beside_it(tmp_path: Path) -> None:
    (tmp_path / "stars.npz").write_bytes(b"")
    script = seen(tmp_path, LIGHTNING, model=MODEL)
    assert {option.flag: option.default for option in script.options} == {
        "--lr": 1e-3,
        "--ckpt_path": None,
        "--fast": None,
        "--data": "stars.npz",
    }
    assert [option.flag for option in script.options if option.is_switch] == ["--fast"]
    assert script.logged == ["train_r2", "val_r2", "both_epoch", "train_mae", "val_mae",
                             "fixed/loss"]  # fmt: skip
    assert script.files.metrics == ["logs/vit/version_*/metrics.csv"]
    assert (script.epochs, script.checkpoint_word) == (40, "last")
    assert script.normalised == "train.py:13 label_std"
    assert not script.restored
    assert script.scale is not None
    assert re.search(script.scale.pattern, "label std: 1.302\n") is not None
    assert script.files.existing == ["stars.npz"]


def test_options_of_hugging_face_and_names_of_its_metrics(tmp_path: Path) -> None:
    script = seen(tmp_path, HUGGING_FACE)
    assert [option.flag for option in script.options] == [
        "--output_dir", "--num_train_epochs", "--resume_from_checkpoint"]  # fmt: skip
    assert script.logged == ["loss", "eval_loss", "eval_r2", "eval_mae"]


def test_a_value_set_in_wandb_s_summary_is_logged(tmp_path: Path) -> None:
    assert seen(tmp_path, "run.summary['test_r2'] = r2\nx = args['y']\n").logged == ["test_r2"]


@pytest.mark.parametrize(
    ("text", "lines", "unsure"),
    [
        # The untrained model, before the loop; a result behind it is another matter.
        ("print(f'epoch 0 val_r2={v}')\nfor e in r:\n  print(f'epoch {e:d} val_r2={v}')\n",
         ["epoch 3 val_r2=0.6"], 0),
        ("for e in r:\n  print(f'pretrain epoch {e:d} val_r2={v}')\n"
         "for e in r:\n  print(f'finetune epoch {e:d} val_r2={v}')\n", [], 2),
        ("for e in r:\n  sys.stdout.write(f'\\rEpoch {e} [{i}/3]')\n  print(f' val_r2: {v}')\n",
         ["\rEpoch 0 [3/3] val_r2: 0.6", " val_r2: 0.6"], 0),
        ("for e in r:\n  sys.stdout.write(f'Epoch {e}\\n')\n  print(f' val_r2: {v}')\n",
         [" val_r2: 0.6"], 0),
    ],
)  # fmt: skip
def test_which_of_several_printed_lines_is_read(
    tmp_path: Path, text: str, lines: list[str], unsure: int
) -> None:
    script = seen(tmp_path, text)
    for line in lines:
        found = [match for one in script.patterns if (match := re.search(one, line))]
        assert [match["val_r2"] for match in found if "val_r2" in match.groupdict()] == ["0.6"]
    assert (len(script.unsure), bool(script.patterns)) == (unsure, bool(lines))


def test_printed_lines_become_patterns_named_by_their_words(tmp_path: Path) -> None:
    script = seen(tmp_path, PLAIN)
    epochs = script.option("epochs")
    assert epochs is not None
    assert (epochs.flag, epochs.default) == ("--epochs", 12)
    assert script.files.metrics == ["history.jsonl", FILES]
    assert script.logged == ["val/r2", "lr"]
    lines = ["epoch 3 val_r2=0.5123, val_mae: 0.2", "done: test_r2 = 0.6100 after 9 s",
             "test r2 0.600"]  # fmt: skip
    found = [
        match.groupdict()
        for line in lines
        for pattern in script.patterns
        if (match := re.search(pattern, line))
    ]
    assert found == [
        {"epoch": "3", "val_r2": "0.5123", "val_mae": "0.2"},
        {"test_r2": "0.6100", "after": "9"},
        {"test_r2": "0.600"},
    ]


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("LABEL_STD = 1.302\n", Scale(number=1.302)),
        ('json.dump({"label": {"mean": m, "std": s}}, open("stats.json", "w"))\n',
         Scale(file="stats.json", key="label.std")),
        ("learning_scale = 3\n", None),
    ],
)  # fmt: skip
def test_where_the_label_s_standard_deviation_stands(
    tmp_path: Path, text: str, scale: Scale | None
) -> None:
    assert seen(tmp_path, text).scale == scale


@pytest.mark.parametrize(
    "text",
    [
        "mae = mae * self.label_std\n",
        "mae *= std\n",
        "log('val_mae', std[0] * mae)\n",
        "p = denormalize(p)\n",
        "p = scaler.inverse_transform(p)\n",
        "p = p.mul(label_std).add(label_mean)\n",
        "p = torch.addcmul(m, p, std)\n",
        "s = label_std\n",
        "p = back(p, label_std)\n",
        "def to_dex(p): return p\n",
        "label_std = 1.3\nlabel_std = 2.6\n",
    ],
)
def test_a_normalisation_that_is_taken_back_is_seen(tmp_path: Path, text: str) -> None:
    assert seen(tmp_path, f"y = (y - label_mean) / label_std\n{text}").restored


@pytest.mark.parametrize(
    "text",
    [
        "p = (p - label_mean) / (label_std + 1e-8)\n",
        "self.label_std = label_std\n",
        "print(f'label std: {label_std:.3f}', label_std.item())\n",
        "y /= label_std[0]\n",
    ],
)
def test_what_only_divides_or_writes_it_down_takes_nothing_back(tmp_path: Path, text: str) -> None:
    assert not seen(tmp_path, f"y = (y - label_mean) / label_std\n{text}").restored


@pytest.mark.parametrize("whole", [True, False])
def test_a_long_printed_line_is_not_looked_into(whole: bool) -> None:
    for n, is_read in ((400, True), (401, False)):
        many = [part for k in range(n) for part in (f"x{k}=", Slot(True))]
        (line,) = lines_of(many, whole=whole)
        assert line.pattern.count("(?P<") == (n if is_read else 0)
    (line,) = lines_of(["a " * 500_000 + "val_r2=", Slot(True)], whole=whole)
    assert line.pattern == ""


@pytest.mark.parametrize(
    ("text", "unsure"),
    [
        ("print(f'test R2 = {r}')\nprint(f'ridge baseline test R2 = {b}')", 1),
        ("print(f'mean test R2 = {m}')\nprint(f'std test R2 = {s}')", 2),
        ("print(f'improvement of test R2: {d}')", 1),
        ("print(f'{name}: test R2 = {r}')", 1),
        ("print(f'test R2 = {r} for {name}')", 1),
        ("print(f'for {name} test R2 = {r}')", 1),
        ("print(f'epoch {e} time {t} val_r2 {r} lr {lr}')", 0),
        ("print(f'model={name} test R2 = {r:.3f}')", 1),
        ("print(f'epoch {e}: val R2 {100*r:.2f}%')", 1),
        ("print(f'val R2 {r:.2%}')\nprint('test R2 {:.2%}'.format(r))", 2),
        ("print('val R2 %.2f%%' % r)", 1),
        ("print(f'fold {k} test R2 = {r:.3f}')", 1),
        ("print('%s test_r2=%.3f' % (name, r))", 1),
        ("print(f'final val/test R2: {va:.4f} / {te:.4f}')", 1),
        ("print(f'train/val R2 = {tr:.4f}/{va:.4f}')", 1),
        ("print(f'train val R2 = {tr:.4f} {va:.4f}')", 1),
        ("print(f'test R2 = {r}')\nif x: print(f'test R2 = {b}')", 2),
        ("print(f'基线 test_r2={b}')", 1),
        ("print(f'[{epoch}/{n}] {t:.1f}s val_r2={r} (best {b:.2f})')", 0),
        ("print(f'Epoch [{epoch+1}/{n}], val_loss: {v:.4f}, val_r2: {r:.4f}')", 0),
        ("print(f'最终 test_r2={r}')", 0),
        ("print(f'Epoch {e+1}/{args.epochs} - loss: {l:.4f} - val_r2: {r:.3f}')", 0),
        ("print(f'[{now}] Epoch {e:d} val_r2 {r:.3f} | ETA {eta}')", 0),
        ("print(f'{time.strftime(\"%X\")} Epoch {e:d} val_r2 {r:.3f} -> saved to {path}')", 0),
        ("print(f'[seed={args.seed}] epoch {e:d} val_r2 {r:.3f}')", 0),
        ("print(f'[seed={seed}] epoch {e:d} val_r2 {r:.3f}')", 1),
        ("print(f'[{name}] Epoch {e:d} val_r2 {r:.3f}')", 1),
        ("print(f'best val_r2 {r:.3f}')", 1),
        ("print(f'\\n=== done ===\\nTest results: test_r2 = {r} +- {e:.3f}')", 0),
    ],
)
def test_a_score_that_may_be_of_something_else_is_not_read(
    tmp_path: Path, text: str, unsure: int
) -> None:
    script = seen(tmp_path, text + "\n")
    assert len(script.unsure) == unsure
    known = [match_names(re.compile(one).groupindex, "log_g").sure for one in script.patterns]
    assert len([one for one in known if one]) == text.count("print") - unsure


def test_a_score_printed_in_two_ways_is_not_read(tmp_path: Path) -> None:
    script = seen(tmp_path, "print(f'test R2 = {r}')\nprint('test R2 =', b)\n")
    assert (script.patterns, len(script.unsure)) == ([], 2)


def test_of_several_numbers_of_a_line_each_is_found(tmp_path: Path) -> None:
    [pattern] = seen(tmp_path, "print(f'epoch {e} best val R2 {b:.2f} val R2 {v:.2f}')\n").patterns
    match = re.search(pattern, "epoch 3 best val R2 0.70 val R2  0.60")
    assert match is not None
    assert match.groupdict() == {"epoch": "3", "val_R2": "0.60"}
    assert re.search(pattern, "epoch 3 best val R2 0.70 val R2 0.60 of ridge") is None


def test_what_is_no_python_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"train.py:2: not readable as Python"):
        seen(tmp_path, "a = 1\nb = (\n")
    with pytest.raises(UsageError, match=r"train.py(:1)?: not readable as Python: \w"):
        seen(tmp_path, "a = " + "lambda: " * 3000 + "1\n")
    (tmp_path / "bytes.py").write_bytes(b"\x00\xff")
    with pytest.raises(UsageError, match="not readable as Python"):
        look_at(tmp_path / "bytes.py")
    with pytest.raises(UsageError, match="more than 20,000 braces"):
        seen(tmp_path, "print(f'" + "{a}=" * 30_000 + "')")
    with pytest.raises(UsageError, match="more than 3,000 digits"):
        seen(tmp_path, f"epochs = 0x{'f' * 5000}")
    script = seen(tmp_path, "import broken\nprint(1)\n", broken="def (")
    assert script.logged == []


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("val_r2", "val/r2/log_g"),
        ("test/R2Score", "test/r2/log_g"),
        ("eval_r2_score", "val/r2/log_g"),
        ("Valid R²", "val/r2/log_g"),
        ("val_rmse_logg_dex", "val/rmse/log_g"),
        ("test_mae_T_eff_K", "test/mae/T_eff"),
        ("train_loss_epoch", "train/loss"),
        ("lr-AdamW", "train/lr"),
    ],
)
def test_a_name_whose_every_word_is_known_is_sure(name: str, ours: str) -> None:
    assert match_names([name], "log_g").sure == {name: ours}


@pytest.mark.parametrize("name", ["r2", "val_r2_best", "snr2", "val_r2_val", "wall_time", "²", ""])
def test_any_other_is_not(name: str) -> None:
    names = match_names([name], "log_g")
    assert (names.sure, names.unit) == ({}, {})


def test_what_an_error_s_unit_is_is_never_guessed() -> None:
    names = match_names(["val_mae", "test_rmse_K", "val_bias_dex"], "log_g")
    assert names.unit == {"val_mae": "val/mae/log_g", "test_rmse_K": "test/rmse/log_g"}
    assert names.sure == {"val_bias_dex": "val/bias/log_g"}


def test_two_columns_for_one_value_are_both_left_out() -> None:
    names = match_names(["val_r2", "valid_r2", "train_loss_step", "train_loss_epoch"], "log_g")
    assert names.sure == {"train_loss_epoch": "train/loss"}
    assert names.other == ("val_r2", "valid_r2", "train_loss_step")


def test_of_two_for_one_value_the_one_that_names_its_unit_is_taken() -> None:
    names = match_names(["val_mae", "val_mae_dex"], "log_g")
    assert (names.sure, names.unit) == ({"val_mae_dex": "val/mae/log_g"}, {})


@pytest.mark.parametrize(
    ("text", "labels"),
    [("y = d['teff']", {"T_eff"}), ("x(label=log_g)", {"log_g"}), ("logging.debug(1)", set()),
     ("p.add_argument('--labels', default='logg,t_eff')", {"log_g", "T_eff"})],
)  # fmt: skip
def test_the_labels_a_script_names(tmp_path: Path, text: str, labels: set[str]) -> None:
    assert seen(tmp_path, text).labels == labels


def test_with_several_labels_a_name_without_one_is_their_mean() -> None:
    names = match_names(["val_r2", "val_r2_teff", "val_r2_logg"], "log_g")
    assert names.sure == {
        "val_r2": "val/r2",
        "val_r2_teff": "val/r2/T_eff",
        "val_r2_logg": "val/r2/log_g",
    }


def test_near_values() -> None:
    assert near_values("best_r2", "log_g") == ["val/r2/log_g", "test/r2/log_g"]
    assert near_values("val_r2_best", "T_eff") == ["val/r2/T_eff"]
    assert near_values("gpu_memory", "log_g") == []


WORDS = st.sampled_from(["val", "test", "r2", "mae", "loss", "logg", "teff", "epoch", "step", "x"])


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4).map("_".join) | st.text(max_size=12)))
def test_every_column_is_in_one_place_and_no_value_twice(columns: list[str]) -> None:
    names = match_names(columns, "log_g")
    placed = [*names.sure, *names.unit, *names.other]
    assert sorted(placed) == sorted({c for c in columns if c.lower() not in ("step", "epoch")})
    ours = [*names.sure.values(), *names.unit.values()]
    assert len(ours) == len(set(ours))
    assert all(NAME.fullmatch(one) for one in ours)


@given(st.text(alphabet="abc=():{}'\"f\n print%.,", max_size=80))
def test_no_text_ends_the_look(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("scripts") / "any.py"
    path.write_text(text)
    try:
        ast.parse(text)
    except SyntaxError:
        with pytest.raises(UsageError, match=r"^[^\n]*not readable as Python[^\n]*$"):
            look_at(path)
        return
    script = look_at(path)
    for pattern in script.patterns:
        re.compile(pattern)


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("CSVLogger('.')", "lightning_logs/version_*/metrics.csv"),
        ("CSVLogger('logs', '')", "logs/version_*/metrics.csv"),
        ("CSVLogger(args.out, name='swin')", "**/swin/version_*/metrics.csv"),
        ("CSVLogger(save_dir=out, name=run, version=3)", "**/version_3/metrics.csv"),
        ("CSVLogger('logs', version='last')", "logs/lightning_logs/last/metrics.csv"),
        ("L.Trainer()", "lightning_logs/version_*/metrics.csv"),
        ("L.Trainer(default_root_dir='out')", "out/lightning_logs/version_*/metrics.csv"),
        ("L.Trainer(default_root_dir=args.out)", "**/lightning_logs/version_*/metrics.csv"),
        ("L.Trainer(logger=False)", None),
        ("TensorBoardLogger('tb'); L.Trainer(logger=a)", "**/events.out.tfevents.*"),
        ("WandbLogger(); L.Trainer(logger=a)", FILES),
    ],
)
def test_where_lightning_writes(tmp_path: Path, text: str, file: str | None) -> None:
    files = seen(tmp_path, f"import lightning as L\n{text}\n").files.metrics
    assert next(iter(files), None) == file


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("open('metrics.csv', 'w')", ["metrics.csv"]),
        ("open('./logs/metrics.csv', 'w')", ["logs/metrics.csv"]),
        ("open(f'{a.out}/metrics.csv', 'w')", ["**/metrics.csv"]),
        ("open(os.path.join(a.out, 'metrics.csv'), 'w')", ["**/metrics.csv"]),
        ("out = Path(a.out)\nout.mkdir()\n(out / 'metrics.csv').open('w')", ["**/metrics.csv"]),
        ("open(Path(a.out).joinpath('fold1', 'log.csv'), 'w')", ["**/fold1/log.csv"]),
        ("open(a.out + '/metrics.csv', 'w')", ["**/metrics.csv"]),
        ("open('%s/metrics.csv' % a.out, 'w')", ["**/metrics.csv"]),
        ("open('{}/log.jsonl'.format(a.out), 'w')", ["**/log.jsonl"]),
        ("OUT = Path('out') / 'a'\nopen(OUT / 'metrics.csv', 'w')", ["out/a/metrics.csv"]),
        ("D = 'out'\nN = 'metrics.csv'\nopen(f'{D}/{N}', 'w')", ["out/metrics.csv"]),
        ("open(f'out/{a.name}_metrics.csv', 'w')", ["out/**/*_metrics.csv"]),
        ("open(f'out/seed{a.seed}/metrics.csv', 'w')", ["out/seed*/metrics.csv"]),
        ("open('/data/metrics.csv', 'w')\nopen(f'/data/{a.n}/metrics.csv', 'w')", []),
        ("pd.read_csv('data/train_log.csv')", []),
        ("pd.read_csv('a_log.csv')\nf = open('b_log.csv', 'w')", ["b_log.csv"]),
        ("pd.read_csv('log.csv')\nMyLogger('log.csv')", ["log.csv"]),
        ("pd.read_csv('log.csv')\nrun(['a.py', '--log', 'log.csv'])", ["log.csv"]),
        ("open('log.csv', mode=mode)", ["log.csv"]),
        ("open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'log.csv'), 'w')",
         ["log.csv"]),
        ("HERE = Path(__file__).resolve().parent\nopen(HERE / 'o' / 'log.csv', 'w')",
         ["o/log.csv"]),
        ("open(Path(__file__).parents[0] / 'log.csv', 'w')", ["log.csv"]),
        ("open(Path(__file__).parent.parent / 'log.csv', 'w')", ["**/log.csv"]),
        ("open(os.path.join(os.getcwd(), 'log.csv'), 'w')", ["log.csv"]),
        ("open(Path.cwd() / 'log.csv', 'w')\nP = Path('.')\nopen(P / 'log.csv', 'w')",
         ["log.csv"]),
        ("print(f'{a}, {b}')\n', '.join(names)\nx = a / b + 1 % c", []),
        ("from keras.callbacks import CSVLogger\nCSVLogger('training.log')", ["training.log"]),
        ("import tensorflow as tf\ntf.keras.callbacks.CSVLogger(filename=f'{o}/h.csv')",
         ["**/h.csv"]),
    ],
)  # fmt: skip
def test_where_a_script_writes_its_numbers(tmp_path: Path, text: str, files: list[str]) -> None:
    assert seen(tmp_path, f"{text}\n").files.metrics == files


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ('print(f"R2 (test): {a:.4f}")', "R2 (test): 0.5", {"R2_test": "0.5"}),
        ('print(f"R² [val] {a}")', "R² [val] 0.5", {"R2_val": "0.5"}),
        ('print(f"test MAE={a:.4f} dex")', "test MAE=0.1000 dex", {"test_MAE_dex": "0.1000"}),
        ('print(f"Epoch {e}/{n}: val R2 {a}")', "Epoch 3/9: val R2 0.5",
         {"epoch": "3", "val_R2": "0.5"}),
        ('print(f"\\033[92mval R2 {a:.4f}{best_mark}\\033[0m")', "val R2 0.5 *", {"val_R2": "0.5"}),
        ('print("epoch " + str(e) + " val_r2: " + str(round(a, 3)))', "epoch 3 val_r2: 0.5",
         {"epoch": "3", "val_r2": "0.5"}),
        ('print(f"val R^2: {a:.3f}")', "val R^2: 0.500", {"val_R_2": "0.500"}),
        ('print("val_r2:", a)', "val_r2: 0.5", {"val_r2": "0.5"}),
        ('print("Epoch", e, "loss", l, "val_r2", a)', "Epoch 3 loss 0.1 val_r2 0.5",
         {"epoch": "3", "loss": "0.1", "val_r2": "0.5"}),
        ('print("Epoch", e, f"val R2 {a:.2f}")', "Epoch 3 val R2 0.50",
         {"epoch": "3", "val_R2": "0.50"}),
        ('print("Test R2: %.2f MAE: %.2f K" % (a, b))', "Test R2: 0.50 MAE: 20.00 K",
         {"Test_R2": "0.50", "MAE_K": "20.00"}),
    ],
)  # fmt: skip
def test_split_and_unit_of_a_printed_value(
    tmp_path: Path, text: str, line: str, found: dict[str, str]
) -> None:
    [pattern] = seen(tmp_path, text).patterns
    match = re.search(pattern, line)
    assert match is not None
    assert match.groupdict() == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("w.writerow(['epoch', 'val_r2'])", ["epoch", "val_r2"]),
        ("csv.DictWriter(f, fieldnames=['epoch', 'val_r2'])", ["epoch", "val_r2"]),
        ("f.write('epoch,val_r2\\n')", ["epoch", "val_r2"]),
        ("f.write(json.dumps({'epoch': e, 'val_r2': r2}))", ["epoch", "val_r2"]),
        ("rows.append({'epoch': e, 'val_r2': r2})", ["epoch", "val_r2"]),
        ("rows.append(['epoch', 'val_r2'])", []),
        ("f.write('done')\nw.writerow([e, r2])\nw.writerow(row)", []),
    ],
)
def test_the_header_a_script_writes_names_its_columns(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    assert seen(tmp_path, text).logged == names
