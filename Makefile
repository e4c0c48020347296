# Names for what scripts/ does; none of it needs make.
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check format lock examples coverage load scale chaos promises fuzz contract machine screenshots speed zoo

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup: ## make .venv with everything to work on Lesion
	scripts/setup

demo: ## score two shipped networks, one that learned and one that memorised
	scripts/demo

serve: ## the whole service on this machine, at http://127.0.0.1:8000
	scripts/setup demo
	.venv/bin/lesion serve

test: ## the tests
	scripts/test

check: ## style, types, and who may import whom
	scripts/check

format: ## put the code into its usual form
	scripts/format

lock: ## write lock/*.txt from pyproject.toml
	scripts/setup
	scripts/lock

coverage: ## the long simulation: do 95 % intervals cover?
	scripts/setup
	.venv/bin/python benchmarks/coverage.py

load: ## how much the service bears: reads, submits, lists, uploads, too much, slow callers; OPTIONS="--case soak"
	scripts/setup
	.venv/bin/python -P -m benchmarks.load $(OPTIONS)

scale: ## how work spreads over 1, 2, 4 and 8 workers, and whether small evaluations wait for a large one
	scripts/setup
	.venv/bin/python -P -m benchmarks.scale $(OPTIONS)

speed: ## Lesion beside a loop over hooks, onnxruntime, Captum and nnsight; figures go to docs/speed.md, see there
	scripts/setup
	mkdir -p build/speed
	.venv/bin/python -P -m benchmarks.speed make build/speed $(OPTIONS)
	.venv/bin/python -P -m benchmarks.speed run build/speed $(OPTIONS)
	.venv/bin/python -P -m benchmarks.speed tell build/speed

machine: ## the store's state machine, 2,000 runs of 60 steps on both databases; half an hour; OPTIONS="--hypothesis-seed=7"
	scripts/setup
	.venv/bin/python -P -m pytest -q -n 0 --hypothesis-profile=long --hypothesis-show-statistics $(OPTIONS) \
		tests/service/store/test_state_machine.py

examples: ## train the two shipped networks again; needs PYTHON=one with torch, see examples/README.md
	$(or $(PYTHON),python3) examples/train.py

chaos: ## kill, stop, cut off, fill up and delay everything, on SQLite and on PostgreSQL; figures go to chaos.jsonl
	scripts/setup
	.venv/bin/python -m benchmarks.chaos
	.venv/bin/python -m benchmarks.chaos --database postgresql

promises: ## write the figures of chaos.jsonl into docs/promises.md
	.venv/bin/python -m benchmarks.promises chaos.jsonl

fuzz: ## 20,000 damaged files of each format through the real readers; FUZZ="--format onnx --seed 2" is handed on
	scripts/setup
	.venv/bin/python -m benchmarks.fuzz $(FUZZ)

contract: ## requests made up from the OpenAPI document: does the API do what it says?
	scripts/setup
	.venv/bin/python -m benchmarks.contract

zoo: ## does the score predict? 382 small networks trained, scored over HTTP, judged; 1 to 2 hours, can be stopped
	scripts/setup
	.venv/bin/python -P -m benchmarks.zoo zoo-data
	scripts/evidence

screenshots: ## the pictures of the page in docs/images; needs Chromium
	scripts/screenshots
