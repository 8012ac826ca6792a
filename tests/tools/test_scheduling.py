from xdist.scheduler import LoadScopeScheduling

from tests.support.scheduling import HouseScheduling, group_of, turn_of


def test_what_shares_a_running_system_is_one_group_for_each_store():
    assert group_of("tests/conformance/test_jobs.py::test_a[sqlite-1.6]") == "live sqlite"
    assert group_of("tests/conformance/test_framing.py::test_b[2.1-postgresql]") == "live postgresql"
    assert group_of("tests/conformance/test_jobs_page.py::test_c") == "tests/conformance/test_jobs_page.py"


def test_the_load_scenarios_and_what_prometheus_reads_share_one_system():
    ours = ("tests/loadtest/scenarios/test_scenarios.py::test_a", "tests/monitoring/test_scraping.py::test_b")
    assert {group_of(test) for test in ours} == {"load system"}


def test_what_shares_a_file_is_one_group_whatever_stands_in_its_parameters():
    assert group_of("tests/contracts/test_topology.py::test_d[sqlite::@x]") == "tests/contracts/test_topology.py"


def test_xdist_asks_for_the_group_of_a_test_by_the_name_that_we_answer_to():
    assert HouseScheduling._split_scope is not LoadScopeScheduling._split_scope


def test_whole_systems_begin():
    assert turn_of("tests/system/test_a.py::test") < turn_of("tests/conformance/test_a.py::test")
    assert turn_of("tests/workers/commands/test_a.py::test") < turn_of("tests/workers/store/test_a.py::test")
