"""What firmware and diagnostics share about jobs: checking a request, sending it to the charge point, retrying."""
