"""Camera photos: the super-resolution learns with noise and does not back-project it.

python main.py --config=configs/real.py --image=photo.jpg
"""

from ml_collections import ConfigDict

from kernelgan_jax.config import Config, SRConfig


def get_config() -> ConfigDict:
    return ConfigDict(
        Config(
            estimator="spectral",
            border=0,
            sr=SRConfig(noise_scale=1.0, back_projections=0),
        ).asdict()
    )
