"""The Grafana dashboards that the chart brings, made from code."""
