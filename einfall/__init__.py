"""How fast can this attention go on that machine, what stops it, and what if?"""

__version__ = "0.1.0"
