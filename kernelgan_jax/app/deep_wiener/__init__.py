"""The training program of the network `super_resolution.deep_wiener`."""
