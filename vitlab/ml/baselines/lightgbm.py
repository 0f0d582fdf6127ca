"""LightGBM without scikit-learn.

Where that is installed LightGBM loads it for classes that nothing here uses: 1.3 of 1.9 s.
"""

from __future__ import annotations

import sys

_absent = "sklearn" not in sys.modules
if _absent:
    sys.modules["sklearn"] = None  # type: ignore[assignment]
try:
    import lightgbm as lgb
finally:
    if _absent:
        del sys.modules["sklearn"]

__all__ = ["lgb"]
