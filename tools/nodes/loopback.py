"""HTTP to this machine's own processes, never by way of a proxy that the environment names."""

import urllib.request

open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
