"""Programs that a measure runs in a process of their own, in the environment that is measured."""
