# Short names for the scripts in ci/; CI runs the same ones.
.PHONY: ci test race lint cross fuzz bench

ci: ## everything that must hold before a change lands
	bash ci/run
test race lint cross fuzz bench:
	bash ci/$@.sh
