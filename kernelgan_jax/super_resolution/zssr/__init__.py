"""ZSSR, a small network trained on one image alone, and a faster form of it.

Assaf Shocher, Nadav Cohen, Michal Irani, "Zero-Shot Super-Resolution using Deep
Internal Learning", CVPR 2018. `pairs.py` makes training pairs from the image,
`linear_filter.py` the linear part of the fast form, `network.py` the networks,
`algorithm.py` the training as pure functions; `method.py` compiles and runs them.
"""
