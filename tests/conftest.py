"""Settings of hypothesis: `ci` (`.ci/run`) repeats the same examples, `dev` looks for new ones."""

from hypothesis import settings

settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("dev")
