from .analysis import analyse as analyse
from .analysis import estimate_spectral as estimate_spectral
from .confidence import judge as judge
from .likelihood import spectral_likelihood as spectral_likelihood
from .newton import minimise as minimise
from .periodogram import has_blocks as has_blocks
from .periodogram import mean_periodogram as mean_periodogram
