"""The two endpoints of the run steps over HTTP, and a run that is completed after its stream was cut."""
