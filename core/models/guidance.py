"""Which guidance a distilled network is told. Imports no torch."""

GUIDANCE = 3.5
"""What a network with a guidance embedding is told unless an option says otherwise: that of diffusers' own script."""
