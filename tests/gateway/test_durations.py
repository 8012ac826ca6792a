"""The cheap histogram says what Prometheus' own one says."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from gateway.durations import Durations

BUCKETS = (0.001, 0.5, 1, 2.5)


def samples(registry: CollectorRegistry) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    found = (sample for family in registry.collect() for sample in family.samples)
    return {(one.name, tuple(one.labels.items()), one.value) for one in found if not one.name.endswith("_created")}


@given(st.lists(st.floats(0, 10) | st.sampled_from(BUCKETS)))
def test_it_shows_what_the_librarys_histogram_shows(seconds):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("x_seconds", "x", buckets=BUCKETS, registry=ours)
    histogram = Histogram("x_seconds", "x", buckets=BUCKETS, registry=theirs)
    for one in seconds:
        durations.observe(one)
        histogram.observe(one)
    assert samples(ours) == samples(theirs)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 10))))
def test_with_a_label_each_value_has_a_histogram_of_its_own(observed):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("x_seconds", "x", buckets=BUCKETS, label="action", registry=ours)
    histogram = Histogram("x_seconds", "x", ["action"], buckets=BUCKETS, registry=theirs)
    for action, seconds in observed:
        durations.of(action).observe(seconds)
        histogram.labels(action).observe(seconds)
    assert samples(ours) == samples(theirs)
