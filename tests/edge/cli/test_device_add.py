"""`gatefleet device add`: what it promises of devices and of files, in both languages and in JSON."""

import asyncio
import stat
import threading
import tomllib
from contextlib import contextmanager

import pytest
import structlog

from core.errors import ConfigInvalid
from edge.cli.device_add import SiteText, quiet
from edge.config import load_config
from edge.profiles import load_profile
from simulators.modbus import serve_tcp
from simulators.reader import serve_tcp_reader
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib
from simulators.turnstile import Gate, gate_bank

HEAD = """# the road of the pier
schema = 1
[edge]
site = "s"
name = "n"
[buffer]
path = "b.db"
[uplink]
url = "mqtt://localhost:1883"
[crypto]
token_key = "env:TOKEN"
[control]
socket = "c.sock"
"""
NTP = ("--driver", "ntp", "--link", "ntp://10.0.0.1")
PARTS = {"entry", "toml", "probe", "written"}


@contextmanager
def served(make):
    """Serve something in a loop of its own thread; give what it told."""
    loop, told, stop = asyncio.new_event_loop(), [], threading.Event()
    ready = threading.Event()

    async def serve():
        async with make() as one:
            told.append(one if isinstance(one, str) else one.url)
            ready.set()
            await asyncio.to_thread(stop.wait, 30)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield told[0]
    finally:
        stop.set()
        thread.join(10)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
def site(folder):
    path = folder / "road.toml"
    path.write_text(HEAD, encoding="utf-8")
    path.chmod(0o640)
    return path


def backups(path):
    return sorted(path.parent.glob(f"{path.name}.*.bak"))


def gate_server():
    return serve_tcp({1: gate_bank(gate(), load_profile("reference/swing-gate"))})


def gate():
    made = Gate()
    made.fault("door_jam", on=True)
    return made


def test_without_a_trial_it_checks_and_prints(run):
    shown = run("device", "add", *NTP)
    assert shown.code == 0
    table = tomllib.loads(shown.out.partition("For the site file:")[2])
    assert table == {"device": [{"id": "ntp-1", "driver": "ntp", "profile": "generic/ntp", "link": "ntp://10.0.0.1"}]}
    told = run("device", "add", *NTP, "--id", "clock-7", "--json").json
    assert set(told) == PARTS
    assert (told["entry"]["id"], told["probe"], told["written"]) == ("clock-7", None, None)
    assert tomllib.loads(told["toml"])["device"] == [told["entry"]]


def test_a_device_that_is_reached_says_what_it_is(run, monkeypatch):
    monkeypatch.setenv("COMMUNITY", "public")
    settings = ("--set", "version=2c", "--set", "community=env:COMMUNITY", "--probe", "--for", "0.8")
    with served(lambda: serve_snmp(Agent(switch_mib(SwitchState())))) as url:
        words = ("device", "add", "--driver", "snmp", "--profile", "generic/snmp-switch", "--link", url, *settings)
        shown = run(*words)
        told = run(*words, "--json")
    assert (shown.code, told.code) == (0, 0)
    assert "snmp-1: reachable" in shown.out
    assert "REF0001" in shown.out
    assert told.json["probe"]["described"]["model"] == "SW-10P"
    assert "public" not in shown.out + told.out


def test_findings_come_with_their_sentence_in_both_languages(run):
    with served(gate_server) as url:
        words = (
            "device",
            "add",
            "--driver",
            "turnstile",
            "--profile",
            "reference/swing-gate",
            "--probe",
            "--for",
            "0.6",
            "--link",
        )
        shown = run(*words, f"{url}?unit=1")
        chinese = run(*words, f"{url}?unit=1", "--lang", "zh_CN")
    assert shown.code == 0
    assert "The gate tells that its door is jammed." in shown.out
    assert "GateObserved" in shown.out
    for text in ("可以连通", "站点文件所需配置段", "数值"):
        assert text in chinese.out


def test_a_device_that_is_not_reached_is_exit_status_1_and_not_written(run, site, unused_tcp_port):
    words = ("device", "add", "--driver", "reader", "--link", f"tcp://127.0.0.1:{unused_tcp_port}", "--probe")
    told = run(*words, "--write", str(site), "--json")
    assert (told.code, told.json["probe"]["reachable"], told.json["written"]) == (1, False, None)
    (finding,) = told.json["probe"]["findings"]
    assert finding["code"] == "link_down"
    assert finding["sentence"]
    assert finding["cure"]
    assert site.read_text(encoding="utf-8") == HEAD
    assert backups(site) == []


def test_where_it_listens_is_told_beside_the_result(run):
    words = ("device", "add", "--driver", "reader", "--link", "tcp-server://127.0.0.1:0", "--probe", "--for", "0.1")
    shown = run(*words)
    assert shown.code == 1
    assert "listening at tcp-server://127.0.0.1:" in shown.err
    assert "Nothing came from the device in this time." in shown.out
    assert run(*words, "--json").err == ""


def test_what_a_document_says_stays_hidden(run):
    async def showing(reader):
        await reader.wait_connected()
        reader.show("TOP SECRET")

    class Shown:
        async def __aenter__(self):
            self.serving = serve_tcp_reader()
            reader = await self.serving.__aenter__()
            self.task = asyncio.create_task(showing(reader))
            return reader

        async def __aexit__(self, *error):
            await self.task
            await self.serving.__aexit__(*error)

    with served(Shown) as url:
        shown = run("device", "add", "--driver", "reader", "--link", url, "--probe", "--for", "0.8", "--json")
    assert shown.json["probe"]["facts"][0]["fact"] == "CredentialRead"
    assert "TOP SECRET" not in shown.out


def test_a_file_gets_the_device_after_a_copy_of_it(run, site):
    told = run("device", "add", *NTP, "--write", str(site), "--json")
    assert told.code == 0
    assert site.read_text(encoding="utf-8").startswith(HEAD)
    assert list(load_config(site).devices) == ["ntp-1"]
    assert stat.S_IMODE(site.stat().st_mode) == 0o640
    (backup,) = backups(site)
    assert told.json["written"] == {"file": str(site.resolve()), "backup": str(backup)}
    assert backup.read_text(encoding="utf-8") == HEAD
    shown = run("device", "add", *NTP, "--write", str(site))
    assert shown.code == 0
    assert "Start the daemon anew" in shown.out
    assert list(load_config(site).devices) == ["ntp-1", "ntp-2"]
    assert len(list(site.parent.iterdir())) == 3


@pytest.mark.parametrize(
    ("before", "more"),
    [
        ("schema = 7\n", ()),
        ("not toml", ()),
        (HEAD + '[[device]]\nid = "x"\ndriver = "ntp"\nprofile = "generic/ntp"\nlink = "ntp://h"\n', ("--id", "x")),
        (HEAD + "device = 5\n", ()),
    ],
)
def test_a_file_that_would_not_load_stays_as_it_is(run, site, before, more):
    site.write_text(before, encoding="utf-8")
    shown = run("device", "add", *NTP, *more, "--write", str(site), "--json")
    assert (shown.code, shown.json["error"]["code"]) == (2, "config_invalid")
    assert site.read_text(encoding="utf-8") == before
    assert backups(site) == []


def test_a_file_that_would_not_load_is_told_before_the_device_is_tried(run, site):
    site.write_text("schema = 7\n", encoding="utf-8")
    words = ("device", "add", "--driver", "reader", "--link", "tcp-server://127.0.0.1:0", "--probe", "--for", "0.1")
    shown = run(*words, "--write", str(site))
    assert shown.code == 2
    assert "listening at" not in shown.err


def test_a_link_that_another_device_has_is_refused(run, site):
    reader = ("--driver", "reader", "--link", "tcp://10.0.0.1:4001", "--write", str(site), "--json")
    assert run("device", "add", *reader).code == 0
    again = run("device", "add", *reader)
    assert again.code == 2
    assert "is the link of reader-1 too" in again.json["error"]["detail"]


def test_a_file_that_is_not_there_is_told(run, folder):
    shown = run("device", "add", *NTP, "--write", str(folder / "none.toml"), "--json")
    assert (shown.code, shown.json["error"]["code"]) == (2, "config_invalid")


def test_a_file_that_somebody_changes_meanwhile_is_left_alone(site):
    from edge.cli.errors import InputInvalid

    text = SiteText.read(site)
    site.write_text(HEAD + "# new\n", encoding="utf-8")
    with pytest.raises(InputInvalid):
        text.append('[[device]]\nid = "a"\ndriver = "ntp"\nprofile = "generic/ntp"\nlink = "ntp://h"\n')
    assert site.read_text(encoding="utf-8") == HEAD + "# new\n"
    assert backups(site) == []


def test_a_link_to_a_file_stays_a_link(site):
    link = site.with_name("link.toml")
    link.symlink_to(site)
    SiteText.read(link).append('[[device]]\nid = "a"\ndriver = "ntp"\nprofile = "generic/ntp"\nlink = "ntp://h"\n')
    assert link.is_symlink()
    assert list(load_config(site).devices) == ["a"]


def test_a_file_without_an_end_of_line_is_appended_to_on_a_new_one(site):
    site.write_text(HEAD + "# end", encoding="utf-8")
    SiteText.read(site).append('[[device]]\nid = "a"\ndriver = "ntp"\nprofile = "generic/ntp"\nlink = "ntp://h"\n')
    assert list(load_config(site).devices) == ["a"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--driver", "ntp"), 2),
        (("--link", "ntp://h"), 2),
        (("--driver", "nosuch", "--link", "x://h"), 1),
        (("--driver", "snmp", "--link", "snmp://h"), 2),
        (("--driver", "ntp", "--link", "ntp://h", "--profile", "reference/jt808"), 2),
        (("--driver", "ntp", "--link", "ntp://h", "--set", "nonsense"), 2),
        (("--driver", "ntp", "--link", "ntp://h", "--id", "no id"), 2),
        (("--driver", "modbus-rtu", "--link", "x"), 1),
    ],
)
def test_what_is_wrong_is_told_by_the_exit_status(run, words, code):
    shown = run("device", "add", *words, "--json")
    assert shown.code == code
    assert shown.json["error"]["detail"]


def test_the_log_is_quiet_meanwhile_and_as_before_afterwards(capsys):
    log = structlog.get_logger()
    with quiet():
        log.warning("hidden")
    log.warning("shown")
    assert "hidden" not in capsys.readouterr().out
    with pytest.raises(ConfigInvalid), quiet():
        raise ConfigInvalid("x")
