"""Networks that several tests take."""

from vitlab.contract.networks import VitModel

P16 = VitModel(
    input="flux",
    tokenizer="C1D",
    patch=16,
    hidden=256,
    layers=6,
    heads=8,
    mlp_ratio=4.0,
    dropout=0.1,
    pool="cls",
)
"""`p16_h256_L6_a8`, the network of many a roadmap."""
