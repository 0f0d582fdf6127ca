"""`vitlab scaling`: the scaling law of each model, with E known and fitted, and what hours buy."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from vitlab.commands.common import (
    Options,
    add_json,
    add_roadmap,
    named_roadmap,
    print_json,
    print_table,
    results_lab,
)
from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError
from vitlab.docs.judge.budget import count
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.job_results import Finished, all_moved, all_results, latest, lookup_results
from vitlab.lab.results.scaling import AHEAD, EXPONENTS, Scaling, formula, scalings
from vitlab.ml.scaling_law import LEVEL, Interval, Law

_SIZES = 2000
"""Numbers of parameters tried for a budget, from a tenth of the smallest to 1000 of the largest."""

MOST_HOURS = 1e9
"""Of a budget: a hundred thousand years."""


def _options(scaling: argparse.ArgumentParser) -> None:
    scaling.add_argument("mvps", nargs="*", metavar="MVP", help="default: every newest result")
    scaling.add_argument(
        "--budget",
        type=float,
        metavar="HOURS",
        help="the best N and P for one run of this many hours",
    )
    scaling.add_argument(
        "--times",
        type=float,
        default=AHEAD,
        metavar="FACTOR",
        help=f"predict a run larger by this factor (default {AHEAD})",
    )
    add_roadmap(scaling)
    add_json(scaling)
    scaling.set_defaults(handler=show_laws)


def show_laws(args: argparse.Namespace) -> int:
    """`vitlab scaling`: L = 1 - R2 = E + A/P^a + B/N^b of each model, from finished runs."""
    if args.budget is not None and not 0 < args.budget <= MOST_HOURS:
        raise UsageError(f"--budget: must be above 0 and at most 1e9, not {args.budget:g}")
    if not args.times > 0:
        raise UsageError(f"--times: must be above 0, not {args.times:g}")
    lab = results_lab()
    everything = all_results(lab)
    of = named_roadmap(lab, args, args.mvps)
    if args.mvps:
        results = lookup_results(lab.paths, args.mvps, of, all_moved(lab))
    else:
        results = _newest(everything)
    results = [one for one in results if one.job.spec.recipe not in ("ceiling", "evaluate")]
    if not results:
        raise UsageError("no run has a result yet")
    found = scalings(results, ceilings(one.job for one in everything))
    if not found:
        raise UsageError("no model has runs of two sizes or more")
    records = [_record(one, args.times, args.budget) for one in found]
    if args.json:
        print_json(records)
        return 0
    for one, record in zip(found, records, strict=True):
        _print(one, record, args.times, args.budget)
    return 0


def _newest(everything: list[Finished]) -> list[Finished]:
    """The newest result of every run, of the highest profile there is."""
    newest = [one for one in latest(everything) if one.job.spec.recipe != "ceiling"]
    rank = max((PROFILES.index(one.result.profile) for one in newest), default=0)
    return [one for one in newest if one.result.profile == PROFILES[rank]]


def _record(one: Scaling, times: float, hours: float | None) -> dict[str, object]:
    """The law as JSON; intervals as [value, low, high]."""
    record: dict[str, object] = {
        "model": one.model,
        "value": one.value,
        "loss": "1 - R2",
        "runs": len(one.runs),
        "stars": sorted({run.stars for run in one.runs}),
        "params": sorted({run.params for run in one.runs}),
        "ceiling": [one.ceiling.r2, one.ceiling.error] if one.ceiling else None,
        "interval": LEVEL,
        "fixed": _numbers(one.fixed) if one.fixed else None,
        "free": _numbers(one.free) if one.free else None,
        "notes": list(one.notes),
    }
    if one.law is not None:
        stars, params = one.larger(times)
        record["ahead"] = {"stars": stars, "params": params, "r2": _r2(one.law.run(stars, params))}
        record["best"] = _best(one, one.law, hours) if hours else None
    return record


def _best(one: Scaling, law: Law, hours: float) -> dict[str, object]:
    try:
        cost, unit = one.cost()
        params = np.array([one.params[0]])
        if "P" in law.axes:
            params = np.geomspace(one.params.min() / 10, one.params.max() * 1000, _SIZES)
        use = law.best_use(cost, hours, float(one.stars[0]), params)
    except UsageError as error:
        return {"unknown": str(error)}
    n, p, loss = use
    beyond = max(n.value / one.stars.max(), p.value / one.params.max())
    return {
        "hours": hours, "unit": unit, "stars": _list(n), "params": _list(p), "r2": _r2(loss),
        "beyond": beyond,
    }  # fmt: skip


def _numbers(law: Law) -> dict[str, object]:
    names = {"N": ("B", "b"), "P": ("A", "a")}
    numbers: dict[str, object] = {"E": _list(law.floor), "scatter": law.scatter}
    for axis in law.axes:
        size, power = names[axis]
        numbers |= {size: _list(law.amplitude(axis)), power: _list(law.exponent(axis))}
    return numbers


def _list(x: Interval) -> list[float]:
    return [x.value, x.low, x.high]


def _r2(loss: Interval) -> list[float]:
    return [1 - loss.value, 1 - loss.high, 1 - loss.low]


def _print(one: Scaling, record: dict[str, object], times: float, hours: float | None) -> None:
    sizes = f"N {_span(one.stars)}" + (f", P {_span(one.params)}" if one.params.max() > 1 else "")
    print(f"{one.model}: {len(one.runs)} runs, {sizes}; {one.value}")
    kinds = [(kind, law) for kind, law in (("ceiling", one.fixed), ("fitted", one.free)) if law]
    if kinds:
        axes = kinds[0][1].axes
        rows = [
            [kind, _text(law.floor), *(_text(law.exponent(axis)) for axis in axes), formula(law)]
            for kind, law in kinds
        ]
        print_table(["  E", "E (90%)", *(f"{EXPONENTS[x]} (90%)" for x in axes), "1 - R²"],
                    [[f"  {row[0]}", *row[1:]] for row in rows])  # fmt: skip
    if one.fixed and one.free:
        verb = "agrees" if one.floors_agree else "disagrees"
        print(f"  the fitted E {verb} with that of the ceiling")
    if one.law is not None:
        stars, params = one.larger(times)
        at = f"N {count(stars)}" + (f", P {count(params)}" if "P" in one.law.axes else "")
        r2 = _text(_turned(one.law.run(stars, params)))
        told = "predicted" if one.predicts else "by this law, too uncertain to predict it"
        print(f"  a run of {at}: R² {r2} {told}")
        if hours:
            _print_best(record["best"])
    for note in one.notes:
        print(f"{one.model}: {note}", file=sys.stderr)


def _print_best(best: object) -> None:
    assert isinstance(best, dict)
    if "unknown" in best:
        print(f"  {best['unknown']}")
        return
    n, p, r2 = (Interval(*best[key]) for key in ("stars", "params", "r2"))
    sizes = " and ".join(
        f"{axis} {count(x.value)}"
        + (f" ({count(x.low)} to {count(x.high)})" if x.low < x.high else "")
        for axis, x in (("N", n), ("P", p))
    )
    beyond = best["beyond"]
    times = f"{beyond:.2g}" if beyond < 100 else count(beyond)
    far = f"; {times} times the largest run" if beyond > 1 else ""
    print(f"  {best['hours']:g} {best['unit']}: best {sizes}, R² {_text(r2)}{far}")


def _turned(loss: Interval) -> Interval:
    return Interval(*_r2(loss))


def _span(values: np.ndarray) -> str:
    low, high = count(values.min()), count(values.max())
    return low if low == high else f"{low} to {high}"


def _text(x: Interval) -> str:
    return f"{x.value:.3f} ({x.low:.3f} to {x.high:.3f})"


OPTIONS: Options = {"scaling": _options}
