"""LightGBM with its own callback: `[10]\tval's l2: 0.3` in the log."""

import json

import lightgbm
import numpy

drawn = numpy.random.default_rng(0)
x = drawn.normal(size=(600, 4))
y = x @ [1.0, -0.5, 0.3, 0.1] + 0.3 * drawn.normal(size=600)
train = lightgbm.Dataset(x[:400], y[:400])
val = lightgbm.Dataset(x[400:], y[400:], reference=train)
kept = {}
lightgbm.train(
    {"objective": "l2", "metric": ["l2", "l1"], "num_threads": 1, "verbose": 1},
    train,
    num_boost_round=40,
    valid_sets=[train, val],
    valid_names=["train", "val"],
    callbacks=[lightgbm.log_evaluation(10), lightgbm.record_evaluation(kept)],
)
with open("truth.json", "w") as truth:
    json.dump(kept["val"], truth)
