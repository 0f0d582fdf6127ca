"""Spectra of real stars as surveys publish them: `read_spectra(path)` gives each of a file."""

from vitlab.ml.survey.read import read_spectra
from vitlab.ml.survey.spectrum import Spectrum

__all__ = ["Spectrum", "read_spectra"]
