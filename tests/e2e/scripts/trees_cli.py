"""Prints what LightGBM's command line program prints, which no registry has as a package."""

import sys
import time

PRINTED = """\
[LightGBM] [Info] Finished loading parameters
[LightGBM] [Info] Loading train set
[LightGBM] [Info] Finished initializing training
[LightGBM] [Info] Started training...
[LightGBM] [Info] Iteration:1, training l2 : 0.911
[LightGBM] [Info] Iteration:1, valid_1 l2 : 0.987
[LightGBM] [Info] 0.001234 seconds elapsed, finished iteration 1
[LightGBM] [Info] Iteration:2, training l2 : 0.532
[LightGBM] [Info] Iteration:2, valid_1 l2 : 0.671
[LightGBM] [Info] 0.002345 seconds elapsed, finished iteration 2
[LightGBM] [Info] Iteration:3, training l2 : 0.215
[LightGBM] [Info] Iteration:3, valid_1 l2 : 4.23e-01
[LightGBM] [Info] 0.003456 seconds elapsed, finished iteration 3
[LightGBM] [Info] Finished training
"""
for line in PRINTED.splitlines():
    print(line, flush=True)
    time.sleep(0.01)
sys.exit(0)
