"""OCPP conformance: the `ocpp` package's client against gateway and worker processes, on both stores."""
