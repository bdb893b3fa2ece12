"""What breaks a run, tried many times: parts of ``tools/soak.py`` that tests use in small."""
