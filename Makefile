.PHONY: setup demo check test lint fmt bench package

setup:
	sh dev/setup
demo: setup
	.venv/bin/muniment demo
check: setup
	sh dev/check
test: setup
	.venv/bin/python -m pytest $(if $(TESTS),-k "$(TESTS)")
lint: setup
	.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy
fmt: setup
	.venv/bin/ruff check --fix && .venv/bin/ruff format
bench: setup
	.venv/bin/python -m benchmarks
package: setup
	.venv/bin/python -m pip wheel --no-deps -w dist .
