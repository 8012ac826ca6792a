"""Thousands of lean charge points a process, in as many processes as it takes: the load of every scenario."""
