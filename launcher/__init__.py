"""The launcher of Aristobot3: installs what is missing, starts everything, runs the gate.

Invariant: nothing here imports anything outside the standard library, because the launcher is what
installs the rest.
"""
