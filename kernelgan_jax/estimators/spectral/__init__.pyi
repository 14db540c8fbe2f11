from .analysis import analyse as analyse
from .confidence import judge as judge
from .config import SpectralConfig as SpectralConfig
from .estimator import estimate_spectral as estimate_spectral
from .likelihood import spectral_likelihood as spectral_likelihood
from .newton import minimise as minimise
from .periodogram import has_blocks as has_blocks
from .periodogram import mean_periodogram as mean_periodogram
