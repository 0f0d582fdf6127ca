"""The words by which texts say what a number counts, in English and Chinese."""

from __future__ import annotations

import re

OF_SPLIT = re.compile(
    r"(?P<test>test|held[- ]out|测试)|(?P<val>validation|验证)|(?P<train>train|训练|用了|使用"
    r"|\bfit(?:ted)? (?:to|on)|\b(?:saw|seen|learn(?:s|ed|t)? from|limited (?:by \w+ )?to)\b)",
    re.IGNORECASE,
)
COUNTED = re.compile(
    r"[\s-]*(?:[条颗个]\s*|(?:ViT|MLP|network|model) )?(?:(?P<kind>training|train|test"
    r"|validation|simulated|synthetic"
    r"|labell?ed|训练|测试|验证)[\s-]*)?"
    r"(?:(?P<stars>spectra|spectrum|stars?|samples?|光谱|恒星|样本|(?<=[条颗]))"
    r"|(?P<epochs>epochs?|轮)"
    r"|(?P<params>(?:trainable |free |learnable )?(?:param(?:eter)?s?|weights)|参数)"
    r"|(?P<seeds>(?:random )?seeds?|随机种子|种子))(?![a-z])",
    re.IGNORECASE,
)
"""What stands behind a number that counts."""
COUNTED_BEFORE = re.compile(
    r"(?:(?P<epochs>\bepochs?(?=\s*[=:：])|轮数)|(?P<params>参数量|参数数?|#\s?params"
    r"|\bparameters))\s*(?:=|:|：|为|是)?\s*$",
    re.IGNORECASE,
)
SIZE_BEFORE = re.compile(r"(?<!/)(?:\bN(?:_?\(?train\)?)?|N_tr)\s*=\s*$")
RESAMPLED = re.compile(
    r"[\s-]*(?:bootstrap|resampl|realisation|realization|Monte Carlo|MCMC|posterior|draws?\b"
    r"|iteration|steps?\b|次)",
    re.IGNORECASE,
)
"""What stands behind a number of samples that are no stars."""
NOT_OF_TRAINING = re.compile(
    r"\b(?:warm-?up|patience|early stopping|every|after|last|first)\s*(?:of|for)?\s*$",
    re.IGNORECASE,
)
"""Before a number of epochs that is not that of a training."""
BATCH = re.compile(r"\bbatch(?:es)?(?: size)?(?: of)?\s*$", re.IGNORECASE)
LIMIT = re.compile(
    r"(?:[<>≤≥≪≫]|\b(?:above|below|over|under|exceeds?|at (?:least|most)|more than|less than|up to"
    r"|target(?: of)?|threshold(?: of)?|(?:above|below|over|under) (?:the|its) limit(?: of)?"
    r"|(?:above|below|under) the)"
    r"|阈值为?|门槛为?|超过|未能?达到|低于|高于|至少|至多|大于|小于)\s*$",
    re.IGNORECASE,
)
"""What stands before a limit, which no result has to reach."""
