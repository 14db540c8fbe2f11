"""The training program of KernelGAN's meta-learned start."""
