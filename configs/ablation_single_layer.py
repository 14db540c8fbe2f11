"""The paper's ablation: one 13 x 13 filter in place of the deep linear generator.

python main.py --config=configs/ablation_single_layer.py --image=photo.png
"""

from kernelgan_jax.presets.ablation_single_layer import get_config

__all__ = ["get_config"]
