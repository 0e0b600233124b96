"""Hand-written fakes of the ports; each passes the same contract test as the real adapter."""
