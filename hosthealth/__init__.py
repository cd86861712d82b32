"""What an agent tells anybody: whether it is well, and figures for Prometheus. Nothing else."""
