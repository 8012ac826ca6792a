"""The diagnostics service: log jobs, connector states, the fault register, security events and the device model."""
