"""A whole instance driven from outside, as a person would: used by the replay, the crash tests and benches."""
