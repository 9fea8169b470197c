# Everything a newcomer needs: python3 (3.11 to 3.13), pip and make. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_PYTHON_DOWNLOADS := never
export PYTHONNOUSERSITE := 1
unexport VIRTUAL_ENV PYTHONPATH PYTHONDONTWRITEBYTECODE

UV := .tools/bin/uv
PY := .venv/bin/python

.PHONY: help setup demo test lint format prove bench architecture services clean

help: ## Show the targets / 列出可用命令
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.tools/bin/uv:
	@echo "· uv → .tools"
	@python3 -m pip install --quiet --disable-pip-version-check --target .tools 'uv>=0.8,<1'

.venv/.synced: uv.lock pyproject.toml | .tools/bin/uv
	@echo "· the locked packages → .venv"
	@$(UV) sync --locked --quiet
	@touch $@

setup: .venv/.synced ## Install the locked packages into .venv / 安装锁定的依赖

demo: setup ## Watch departmental data travel the whole way (ONCE=1: check and exit) / 演示全流程
	@$(PY) -m shutong demo $(if $(filter 1,$(ONCE)),--once) $(DEMO)

services: ## Install the servers the tests start (Debian packages; needs root or sudo) / 安装测试服务
	@infra/testing/install

# Servers are downloaded and unpacked beside the packages and the checks that run nothing: mypy leaves a core to them.
test: ## All set-up, then every check and test / 全部检查与测试
	@$(MAKE) --no-print-directory -j 3 services lint
	@$(PY) -m pytest

# mypy takes longer than the others together, which run beside it.
LINT := .types .style .layers .pages
lint: setup ## Style, types, layers, caps, ARCHITECTURE.md / 代码检查
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j 2) $(LINT)
	@echo "lint: ok"

.PHONY: $(LINT)
.types:
	@.venv/bin/mypy --no-error-summary

.style:
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .

.layers:
	@.venv/bin/lint-imports --no-logo >/tmp/shutong-imports.$$$$ 2>&1 || { cat /tmp/shutong-imports.$$$$; exit 1; }

.pages:
	@$(PY) tools/house.py
	@$(UV) lock --locked --quiet

format: setup ## Format the code / 格式化
	@.venv/bin/ruff format --quiet . && .venv/bin/ruff check --fix --quiet .

architecture: setup ## Write the generated pages again: ARCHITECTURE.md, errors, settings / 重新生成页面
	@$(PY) tools/house.py --write
	@$(PY) tools/error_codes.py --write
	@$(PY) tools/settings_table.py --write
	@$(PY) tools/rules_page.py --write

prove: setup services ## The full counts of kills and sizes, resumable / 完整的杀进程与规模测试
	@$(PY) tools/prove.py

bench: setup ## Every benchmark at its small size / 基准（小规模）
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(PY) $$file --small; done

clean: ## Remove what make installed and the demo left behind / 清理
	@rm -rf .venv .tools var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
