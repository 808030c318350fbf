# Thin names for tools/dev.py, which needs neither make nor a shell.
PYTHON ?= python3

.PHONY: demo test check docs bench setup
demo test check docs bench setup:
	$(PYTHON) tools/dev.py $@ $(ARGS)
