"""What every process shows the platform it runs on: settings, logs, health, metrics, signals."""
