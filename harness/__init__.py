"""The core of detoxbench: scorers, sampling, statistics, results, the lm-eval model ``detox`` and the commands."""
